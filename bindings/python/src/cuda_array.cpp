#include "cuda_array.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <bit>
#include <charconv>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "failure.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

// Streams that are no addresses, as the interface numbers them.
constexpr std::uintptr_t kNoStream = 0;
constexpr std::uintptr_t kDefaultStream = 1;
constexpr std::uintptr_t kThreadsStream = 2;

struct TypeText {
  std::optional<hawserDataType_t> type;
  std::int64_t bytes = 0;  ///< Of an element. 0: unknown.
};

/// "<f4": byte order, kind, bytes.
TypeText read_type(const std::string& text) {
  TypeText read;
  if (text.size() < 3) return read;
  const char* const end = text.data() + text.size();
  if (const auto number = std::from_chars(text.data() + 2, end, read.bytes); number.ptr != end) return {};
  constexpr char kOwnOrder = std::endian::native == std::endian::little ? '<' : '>';
  if (text[0] == kOwnOrder || text[0] == '|' || text[0] == '=') read.type = travelling_type(text[1], 8 * read.bytes);
  return read;
}

/// The stream's handle. Null: the default stream, which is waited for where the object names none.
void* read_stream(const nb::dict& interface, const std::string& what) {
  const nb::object given = interface.attr("get")("stream");
  if (given.is_none()) return nullptr;
  const auto stream = nb::cast<std::uintptr_t>(given);
  if (stream == kNoStream)
    raise_invalid_argument(what + " names stream 0 in its __cuda_array_interface__, which that does not allow; its "
                                  "framework should name 1 for the default stream, or None for no stream");
  if (stream == kThreadsStream)
    raise_invalid_argument(what + " is on a thread's default stream (2 in its __cuda_array_interface__), for which "
                                  "the threads of the library cannot wait; work on a stream of its own");
  return stream == kDefaultStream ? nullptr : reinterpret_cast<void*>(stream);
}

TensorFacts read(const nb::dict& interface, const std::string& what) {
  const auto [address, is_read_only] = nb::cast<std::pair<std::uintptr_t, nb::object>>(interface["data"]);
  TensorFacts facts{.data = reinterpret_cast<void*>(address),
                    .on_device = true,
                    .is_read_only = PyObject_IsTrue(is_read_only.ptr()) != 0};
  facts.type_name = nb::cast<std::string>(interface["typestr"]);
  const TypeText type = read_type(facts.type_name);
  facts.type = type.type;
  facts.shape = nb::cast<std::vector<std::int64_t>>(interface["shape"]);
  for (const std::int64_t extent : facts.shape)
    if (extent < 0) throw std::invalid_argument("an extent is negative");
  const nb::object strides = interface.attr("get")("strides");
  if (!strides.is_none()) {
    for (const auto bytes : nb::cast<std::vector<std::int64_t>>(strides)) {
      // Between elements it is no whole number of elements: no number that C order has.
      facts.strides.push_back(type.bytes > 0 && bytes % type.bytes == 0 ? bytes / type.bytes : -1);
    }
    if (facts.strides.size() != facts.shape.size()) throw std::invalid_argument("strides and shape differ in length");
  }
  if (!interface.attr("get")("mask").is_none())
    raise_invalid_argument(what + " has a mask; Hawser sends whole tensors, so fill in what is masked first");
  facts.stream = read_stream(interface, what);
  return facts;
}

}  // namespace

std::optional<TensorFacts> cuda_array_facts(nb::handle object, const char* role) {
  const nb::object interface = nb::getattr(object, "__cuda_array_interface__", nb::none());
  if (interface.is_none()) return std::nullopt;
  const std::string what = std::string("the ") + role + " tensor";
  std::string reason;
  try {
    return read(nb::cast<nb::dict>(interface), what);
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_KeyError) && !error.matches(PyExc_TypeError) && !error.matches(PyExc_OverflowError)) throw;
    reason = nb::str(error.value()).c_str();
  } catch (const nb::cast_error&) {
    reason = "an entry has another type";
  } catch (const std::invalid_argument& error) {
    reason = error.what();
  }
  raise_invalid_argument(what + " has a __cuda_array_interface__ that cannot be read (" + reason +
                         "); Hawser knows version 3 of it");
}

}  // namespace hawser_python
