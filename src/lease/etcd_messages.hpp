#pragma once

#include <string>
#include <string_view>

#include "membership/lease.hpp"

/// The requests of a lease and their answers in etcd's JSON over HTTP (its gRPC gateway, etcd 3.4 and later).
namespace hawser::lease {

struct EtcdRequest {
  std::string path;
  std::string body;
};
/// `key`: of the lease; `holder`: what its holder writes there.
EtcdRequest as_etcd_request(const LeaseRequest& request, const std::string& key, const std::string& holder);

/// What etcd has answered, of which nothing is trusted. `code`: of HTTP. Without an answer that makes sense, `failure`
/// has words for behind an endpoint's name.
LeaseAnswer from_etcd_answer(const LeaseRequest& request, long code, std::string_view body);

}  // namespace hawser::lease
