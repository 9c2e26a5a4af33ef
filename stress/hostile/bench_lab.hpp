#pragma once

#include <memory>
#include <string>

#include "wan/lab.hpp"

namespace hawser::hostile {

/// The network of one measurement. Throws NoLab if there can't be one.
class BenchLab {
 public:
  /// `spec`: text of a spec.
  explicit BenchLab(const std::string& spec);
  /// A name of a spec, or a file.
  static BenchLab of(const std::string& name_or_file);

  std::string network(wan::HostIndex host) const { return lab_->name_space_path(host); }
  std::string address(wan::HostIndex host) const;
  wan::HostIndex host_count() const { return lab_->spec().host_count(); }

 private:
  explicit BenchLab(const wan::Spec& spec);
  std::unique_ptr<wan::Lab> lab_;
};

/// Why there is no lab, and the exit status for it.
struct NoLab {
  std::string why;
  int exit_status = 1;
};

}  // namespace hawser::hostile
