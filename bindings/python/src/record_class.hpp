#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

namespace hawser_python {

namespace nb = nanobind;

/// A struct as a read-only Python class that can be printed and turned into a dict. Each field is named once.
template <class Struct>
class RecordClass {
 public:
  RecordClass(nb::module_& module, const char* name, const char* doc)
      : class_(module, name, doc), name_(name) {}

  template <class Field>
  RecordClass& field(const char* name, Field Struct::*member, const char* doc) {
    class_.def_ro(name, member, doc);
    fields_.push_back(name);
    return *this;
  }
  template <class Getter>
  RecordClass& property(const char* name, Getter getter, const char* doc) {
    class_.def_prop_ro(name, getter, doc);
    fields_.push_back(name);
    return *this;
  }
  void done() {
    class_.def("__repr__", [name = name_, fields = fields_](nb::handle self) {
      std::string text = name + "(";
      for (const std::string& field : fields) {
        if (text.back() != '(') text += ", ";
        text += field + "=" + nb::cast<std::string>(nb::repr(self.attr(field.c_str())));
      }
      return text + ")";
    });
    class_.def(
        "as_dict",
        [fields = fields_](nb::handle self) {
          nb::typed<nb::dict, nb::str, nb::any> dict;
          for (const std::string& field : fields) dict[field.c_str()] = self.attr(field.c_str());
          return dict;
        },
        "All fields by name.");
  }

 private:
  nb::class_<Struct> class_;
  std::string name_;
  std::vector<std::string> fields_;
};

}  // namespace hawser_python
