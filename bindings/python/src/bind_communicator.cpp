#include <hawser.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <hawser/collectives.hpp>
#include <hawser/communicator.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bind.hpp"
#include "comm_handle.hpp"
#include "operation.hpp"
#include "residual.hpp"
#include "tensor.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

using hawser::Reduced;
using MaybeQuantization = std::optional<hawserQuantization_t>;

std::shared_ptr<CommHandle> make(const std::string& master, const std::string& name, std::uint32_t group,
                                 const std::string& advertise_address, const std::string& listen_address,
                                 std::uint16_t port_first, std::uint16_t port_last,
                                 std::uint32_t connections_per_link, std::uint32_t connect_ms,
                                 std::uint32_t master_redial_ms, std::uint32_t silence_ms,
                                 std::uint32_t stall_ms, bool check_same_host,
                                 std::uint32_t prefetch_share_percent, std::uint64_t party,
                                 std::uint32_t party_size, const std::string& congestion_control,
                                 std::uint32_t send_buffer_bytes, std::uint32_t receive_buffer_bytes,
                                 std::uint32_t min_peers, std::uint32_t io_threads, const std::string& secret_file,
                                 bool insecure, bool tls_same_host, bool attest, bool relay, std::uint32_t relay_mbit,
                                 std::uint32_t relay_memory_mib) {
  using hawser::detail::or_null;
  hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
  config.master = or_null(master);
  config.name = or_null(name);
  config.group = group;
  config.advertise_address = or_null(advertise_address);
  config.listen_address = or_null(listen_address);
  config.port_first = port_first;
  config.port_last = port_last;
  config.connections_per_link = connections_per_link;
  config.connect_ms = connect_ms;
  config.master_redial_ms = master_redial_ms;
  config.silence_ms = silence_ms;
  config.stall_ms = stall_ms;
  config.check_same_host = check_same_host ? 1 : 0;
  config.prefetch_share_percent = prefetch_share_percent;
  config.party = party;
  config.party_size = party_size;
  config.congestion_control = or_null(congestion_control);
  config.send_buffer_bytes = send_buffer_bytes;
  config.receive_buffer_bytes = receive_buffer_bytes;
  config.min_peers = min_peers;
  config.io_threads = io_threads;
  config.secret_file = or_null(secret_file);
  config.insecure = insecure ? 1 : 0;
  config.tls_same_host = tls_same_host ? 1 : 0;
  config.attest = attest ? 1 : 0;
  config.relay = relay ? 1 : 0;
  config.relay_mbit = relay_mbit;
  config.relay_memory_mib = relay_memory_mib;
  return std::make_shared<CommHandle>(config);
}

hawserCommInfo_t info_of(CommHandle& self) {
  hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
  self.look([&](hawserComm_t comm) { return hawserCommGetInfo(comm, &info); });
  return info;
}

std::vector<hawser::Member> members_of(CommHandle& self) {
  std::vector<hawserMember_t> raw(kMembersMax, hawserMember_t HAWSER_MEMBER_INIT);
  std::uint32_t count = 0;
  self.look([&](hawserComm_t comm) { return hawserCommGetMembers(comm, raw.data(), kMembersMax, &count); });
  std::vector<hawser::Member> members;
  for (std::uint32_t i = 0; i < std::min(count, kMembersMax); ++i)
    members.push_back({.peer_id = raw[i].peer_id, .name = raw[i].name, .address = raw[i].address});
  return members;
}

/// Runs call(comm, info) and gives what it was; the call may outlast its caller.
template <class Call>
Reduced wait_for_info(CommHandle& self, std::shared_ptr<Kept> kept, Call call) {
  const auto room = std::make_shared<hawser::detail::InfoRoom>(kMembersMax);
  self.wait_for([call, room](hawserComm_t comm, HelperCall*) { return call(comm, room->info()); },
                std::move(kept));
  return std::move(*room).reduced();
}

hawserOptimizeInfo_t optimize_topology(CommHandle& self, bool all_pairs, std::uint32_t age_ms_max,
                                       std::uint32_t probe_ms_max, std::uint32_t total_ms_max,
                                       std::uint64_t probe_bytes_max, nb::object progress) {
  hawserOptimizeOptions_t options = HAWSER_OPTIMIZE_OPTIONS_INIT;
  options.all_pairs = all_pairs ? 1 : 0;
  options.age_ms_max = age_ms_max;
  options.probe_ms_max = probe_ms_max;
  options.total_ms_max = total_ms_max;
  options.probe_bytes_max = probe_bytes_max;
  const auto info = std::make_shared<hawserOptimizeInfo_t>();
  *info = HAWSER_OPTIMIZE_INFO_INIT;
  const bool has_progress = !progress.is_none();
  self.wait_for(
      [options, info, has_progress](hawserComm_t comm, HelperCall* call) mutable {
        if (has_progress) {
          options.progress = &HelperCall::on_progress;
          options.progress_user = call;
        }
        return hawserCommOptimizeTopology(comm, &options, info.get());
      },
      std::make_shared<Kept>(), progress);
  return *info;
}

std::uint32_t wait_for_membership(CommHandle& self, bool joiner, std::uint32_t group_size, std::uint64_t epoch,
                                  std::uint32_t timeout_ms) {
  hawserWaitOptions_t options = HAWSER_WAIT_OPTIONS_INIT;
  options.joiner = joiner ? 1 : 0;
  options.group_size = group_size;
  options.epoch = epoch;
  options.timeout_ms = timeout_ms;
  const auto met = std::make_shared<std::uint32_t>(0);
  self.wait_for([options, met](hawserComm_t comm, HelperCall*) { return hawserCommWait(comm, &options, met.get()); },
                std::make_shared<Kept>());
  return *met;
}

/// The tensors that a reduction reads and writes.
struct Buffers {
  Tensor send;
  Tensor receive;

  /// Of the tensor that is on a device; if both are, of the one that is read. The library waits for one of a device.
  void* stream() const {
    if (send.on_device() && receive.device == send.device && receive.stream != send.stream)
      raise_invalid_argument(
          "the send and the receive tensor are on different streams, and a collective waits for one of a device; let "
          "one stream wait for the other, and give both tensors that one");
    if (send.on_device() && receive.on_device() && receive.device != send.device && receive.stream != nullptr)
      raise_invalid_argument(
          "the receive tensor is on another device than the send tensor, and on a stream of its own, which a "
          "collective does not wait for; synchronise that stream, then make the call with the default stream of its "
          "device as the current one");
    return send.on_device() ? send.stream : receive.stream;
  }
  std::shared_ptr<Kept> kept() const {
    auto kept = std::make_shared<Kept>();
    kept->tensors = {send, receive};
    return kept;
  }
};

void check_types(const Buffers& buffers) {
  if (buffers.send.type != buffers.receive.type)
    raise_invalid_argument("the send and the receive tensor have different types");
}

void check_count(const char* role, std::uint64_t has, std::uint64_t wanted) {
  if (has != wanted)
    raise_invalid_argument(std::string("the ") + role + " tensor has " + std::to_string(has) +
                           " elements, not " + std::to_string(wanted));
}

Buffers all_reduce_buffers(nb::handle send, nb::handle receive) {
  if (receive.is_none()) {
    const Tensor both = tensor_of(send, Access::write, "send", Where::host_or_device);
    return {.send = both, .receive = both};
  }
  Buffers buffers{.send = tensor_of(send, Access::read, "send", Where::host_or_device),
                  .receive = tensor_of(receive, Access::write, "receive", Where::host_or_device)};
  check_types(buffers);
  check_count("receive", buffers.receive.count, buffers.send.count);
  return buffers;
}

struct Reduction {
  hawserReduceOp_t op;
  std::uint64_t tag;
  hawserPlan_t plan;
  const MaybeQuantization& quantization;
  bool compress;
  std::uint32_t timeout_ms;
};

hawserAllReduceOptions_t c_options(const Reduction& reduction) {
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  options.op = reduction.op;
  options.tag = reduction.tag;
  options.plan = reduction.plan;
  if (reduction.quantization) options.quantization = *reduction.quantization;
  options.compress = reduction.compress ? 1 : 0;
  options.timeout_ms = reduction.timeout_ms;
  return options;
}

hawserCollectiveOptions_t c_options(std::uint64_t tag, hawserPlan_t plan, bool compress, std::uint32_t timeout_ms) {
  hawserCollectiveOptions_t options = HAWSER_COLLECTIVE_OPTIONS_INIT;
  options.tag = tag;
  options.plan = plan;
  options.compress = compress ? 1 : 0;
  options.timeout_ms = timeout_ms;
  return options;
}

std::unique_ptr<Operation> all_reduce_async(std::shared_ptr<CommHandle> self, nb::object send,
                                            nb::object receive, hawserReduceOp_t op, std::uint64_t tag,
                                            hawserPlan_t plan, const MaybeQuantization& quantization,
                                            Residual* residual, bool compress, std::uint32_t timeout_ms) {
  const Buffers buffers = all_reduce_buffers(send, receive);
  auto options =
      c_options({.op = op, .tag = tag, .plan = plan, .quantization = quantization, .compress = compress,
                 .timeout_ms = timeout_ms});
  options.stream = buffers.stream();
  auto kept = buffers.kept();
  if (residual != nullptr) {
    options.residual = residual->handle();
    kept->objects.push_back(nb::find(residual));
  }
  const hawserOp_t operation = self->start([&](hawserComm_t comm, hawserOp_t* out) {
    return hawserAllReduceAsync(comm, buffers.send.data, buffers.receive.data, buffers.send.count,
                                buffers.send.type, &options, out);
  });
  return std::make_unique<Operation>(std::move(self), operation, std::move(kept));
}

/// In the background too: the thread that waits can then look at signals.
Reduced all_reduce(std::shared_ptr<CommHandle> self, nb::object send, nb::object receive, hawserReduceOp_t op,
                   std::uint64_t tag, hawserPlan_t plan, const MaybeQuantization& quantization,
                   Residual* residual, bool compress, std::uint32_t timeout_ms) {
  return all_reduce_async(std::move(self), std::move(send), std::move(receive), op, tag, plan, quantization,
                          residual, compress, timeout_ms)
      ->wait(std::nullopt);
}

/// The other side: a rank or, if it is given, a peer id. Without either: whoever has sent first.
struct OtherSide {
  std::optional<std::uint32_t> rank;
  std::uint64_t peer_id;
};

hawserMessageOptions_t c_options(const OtherSide& other, std::uint64_t tag, std::uint32_t timeout_ms) {
  hawserMessageOptions_t options = HAWSER_MESSAGE_OPTIONS_INIT;
  options.tag = tag;
  options.peer_id = other.peer_id;
  options.timeout_ms = timeout_ms;
  return options;
}

using BeginMessage = decltype(&hawserReceiveAsync);

std::unique_ptr<Operation> begin_message(std::shared_ptr<CommHandle> self, const Tensor& tensor, const OtherSide& other,
                                         std::uint64_t tag, std::uint32_t timeout_ms, BeginMessage begin) {
  const auto options = c_options(other, tag, timeout_ms);
  auto kept = std::make_shared<Kept>();
  kept->tensors = {tensor};
  const hawserOp_t operation = self->start([&](hawserComm_t comm, hawserOp_t* out) {
    return begin(comm, tensor.data, tensor.count, tensor.type, other.rank.value_or(HAWSER_ANY_RANK), &options, out);
  });
  return std::make_unique<Operation>(std::move(self), operation, std::move(kept));
}

std::unique_ptr<Operation> send_async(std::shared_ptr<CommHandle> self, nb::object tensor,
                                      std::optional<std::uint32_t> rank, std::uint64_t peer_id, std::uint64_t tag,
                                      std::uint32_t timeout_ms) {
  return begin_message(std::move(self), tensor_of(tensor, Access::read, "sent", Where::host),
                       {.rank = rank, .peer_id = peer_id}, tag, timeout_ms,
                       [](hawserComm_t comm, void* data, std::uint64_t count, hawserDataType_t type, std::uint32_t to,
                          const hawserMessageOptions_t* options, hawserOp_t* op) {
                         return hawserSendAsync(comm, data, count, type, to, options, op);
                       });
}

std::unique_ptr<Operation> receive_async(std::shared_ptr<CommHandle> self, nb::object tensor,
                                         std::optional<std::uint32_t> rank, std::uint64_t peer_id, std::uint64_t tag,
                                         std::uint32_t timeout_ms) {
  return begin_message(std::move(self), tensor_of(tensor, Access::write, "received", Where::host),
                       {.rank = rank, .peer_id = peer_id}, tag, timeout_ms, &hawserReceiveAsync);
}

Reduced send(std::shared_ptr<CommHandle> self, nb::object tensor, std::optional<std::uint32_t> rank,
             std::uint64_t peer_id, std::uint64_t tag, std::uint32_t timeout_ms) {
  return send_async(std::move(self), std::move(tensor), rank, peer_id, tag, timeout_ms)->wait(std::nullopt);
}

Reduced receive(std::shared_ptr<CommHandle> self, nb::object tensor, std::optional<std::uint32_t> rank,
                std::uint64_t peer_id, std::uint64_t tag, std::uint32_t timeout_ms) {
  return receive_async(std::move(self), std::move(tensor), rank, peer_id, tag, timeout_ms)->wait(std::nullopt);
}

hawser::ReducedMany all_reduce_many(CommHandle& self, const std::vector<nb::object>& send,
                                    const std::optional<std::vector<nb::object>>& receive,
                                    hawserReduceOp_t op, std::uint64_t first_tag, hawserPlan_t plan,
                                    const MaybeQuantization& quantization, bool compress,
                                    std::uint32_t in_flight, std::uint32_t fuse_bytes) {
  /// Written to by a call that may outlast this one.
  struct Room {
    std::vector<hawserTensor_t> tensors;
    std::vector<std::uint8_t> done;
    hawserManyInfo_t info = HAWSER_MANY_INFO_INIT;
  };
  if (receive) check_count("receive list: it", receive->size(), send.size());
  const auto room = std::make_shared<Room>();
  const auto kept = std::make_shared<Kept>();
  for (std::size_t i = 0; i < send.size(); ++i) {
    const Buffers buffers = all_reduce_buffers(send[i], receive ? (*receive)[i] : nb::none());
    room->tensors.push_back(
        {buffers.send.data, buffers.receive.data, buffers.send.count, buffers.send.type, buffers.stream()});
    kept->tensors.push_back(buffers.send);
    kept->tensors.push_back(buffers.receive);
  }
  room->done.resize(send.size());
  hawserManyOptions_t options = HAWSER_MANY_OPTIONS_INIT;
  options.op = op;
  options.first_tag = first_tag;
  options.plan = plan;
  if (quantization) options.quantization = *quantization;
  options.compress = compress ? 1 : 0;
  options.in_flight = in_flight;
  options.fuse_bytes = fuse_bytes;
  try {
    self.wait_for(
        [room, options](hawserComm_t comm, HelperCall*) {
          return hawserAllReduceMany(comm, room->tensors.data(), room->tensors.size(), &options, &room->info,
                                     room->done.data());
        },
        kept);
  } catch (nb::python_error& error) {
    if (nb::hasattr(error.value(), "done")) {
      nb::list done;
      for (const std::uint8_t one : room->done) done.append(one != 0);
      error.value().attr("done") = done;
    }
    throw;
  }
  return {.tensors = room->info.tensors,
          .collectives = room->info.collectives,
          .attempts = room->info.attempts,
          .world_size_least = room->info.world_size_least,
          .world_size_most = room->info.world_size_most,
          .bytes_sent = room->info.bytes_sent,
          .bytes_received = room->info.bytes_received,
          .total_us = room->info.total_us};
}

Reduced reduce_scatter(CommHandle& self, nb::object send, nb::object receive, hawserReduceOp_t op,
                       std::uint64_t tag, hawserPlan_t plan, const MaybeQuantization& quantization,
                       bool compress, std::uint32_t timeout_ms) {
  const Buffers buffers{.send = tensor_of(send, Access::read, "send", Where::host_or_device),
                        .receive = tensor_of(receive, Access::write, "receive", Where::host_or_device)};
  check_types(buffers);
  const hawserCommInfo_t view = info_of(self);
  check_count("send", buffers.send.count, buffers.receive.count * view.group_size);
  auto options =
      c_options({.op = op, .tag = tag, .plan = plan, .quantization = quantization, .compress = compress,
                 .timeout_ms = timeout_ms});
  options.epoch = view.epoch;
  options.stream = buffers.stream();
  return wait_for_info(
      self, buffers.kept(),
      [options, from = buffers.send.data, to = buffers.receive.data, count = buffers.receive.count,
       type = buffers.send.type](hawserComm_t comm, hawserReduceInfo_t* info) {
        return hawserReduceScatter(comm, from, to, count, type, &options, info);
      });
}

Reduced all_gather(CommHandle& self, nb::object send, nb::object receive, std::uint64_t tag,
                   hawserPlan_t plan, bool compress, std::uint32_t timeout_ms) {
  const Buffers buffers{.send = tensor_of(send, Access::read, "send", Where::host_or_device),
                        .receive = tensor_of(receive, Access::write, "receive", Where::host_or_device)};
  check_types(buffers);
  const hawserCommInfo_t view = info_of(self);
  check_count("receive", buffers.receive.count, buffers.send.count * view.group_size);
  auto options = c_options(tag, plan, compress, timeout_ms);
  options.epoch = view.epoch;
  options.stream = buffers.stream();
  return wait_for_info(
      self, buffers.kept(),
      [options, from = buffers.send.data, to = buffers.receive.data, count = buffers.send.count,
       type = buffers.send.type](hawserComm_t comm, hawserReduceInfo_t* info) {
        return hawserAllGather(comm, from, to, count, type, &options, info);
      });
}

Reduced broadcast(CommHandle& self, nb::object tensor, std::uint32_t root, std::uint64_t tag,
                  hawserPlan_t plan, bool compress, std::uint32_t timeout_ms) {
  const Tensor both = tensor_of(tensor, Access::write, "broadcast", Where::host_or_device);
  auto options = c_options(tag, plan, compress, timeout_ms);
  options.stream = both.stream;
  return wait_for_info(self, Buffers{.send = both, .receive = both}.kept(),
                       [options, root, data = both.data, count = both.count, type = both.type](
                           hawserComm_t comm, hawserReduceInfo_t* info) {
                         return hawserBroadcast(comm, data, data, count, type, root, &options, info);
                       });
}

Reduced barrier(CommHandle& self, std::uint64_t tag, std::uint32_t timeout_ms) {
  const auto options = c_options(tag, hawserPlanAuto, false, timeout_ms);
  return wait_for_info(
      self, std::make_shared<Kept>(),
      [options](hawserComm_t comm, hawserReduceInfo_t* info) { return hawserBarrier(comm, &options, info); });
}

void bind_membership(nb::class_<CommHandle>& comm) {
  comm.def(nb::new_(&make), nb::kw_only(), nb::arg("master"), nb::arg("name"), nb::arg("group"),
           nb::arg("advertise_address"), nb::arg("listen_address"), nb::arg("port_first"),
           nb::arg("port_last"), nb::arg("connections_per_link"), nb::arg("connect_ms"),
           nb::arg("master_redial_ms"), nb::arg("silence_ms"), nb::arg("stall_ms"),
           nb::arg("check_same_host"), nb::arg("prefetch_share_percent"),
           nb::arg("party"), nb::arg("party_size"), nb::arg("congestion_control"),
           nb::arg("send_buffer_bytes"), nb::arg("receive_buffer_bytes"), nb::arg("min_peers"),
           nb::arg("io_threads"), nb::arg("secret_file"), nb::arg("insecure"), nb::arg("tls_same_host"),
           nb::arg("attest"), nb::arg("relay"), nb::arg("relay_mbit"), nb::arg("relay_memory_mib"))
      .def("close", &CommHandle::close)
      .def("is_closed", &CommHandle::is_closed)
      .def("connect",
           [](CommHandle& self) {
             self.wait_for([](hawserComm_t handle, HelperCall*) { return hawserCommConnect(handle); },
                           nullptr);
           })
      .def("optimize_topology", &optimize_topology, nb::arg("all_pairs"), nb::arg("age_ms_max"),
           nb::arg("probe_ms_max"), nb::arg("total_ms_max"), nb::arg("probe_bytes_max"), nb::arg("progress").none())
      .def("update_topology",
           [](CommHandle& self) {
             self.wait_for([](hawserComm_t handle, HelperCall*) { return hawserCommUpdateTopology(handle); },
                           nullptr);
           })
      .def("set_term",
           [](CommHandle& self, const std::string& name, const std::optional<std::string>& value) {
             self.look([&](hawserComm_t handle) {
               return hawserCommSetTerm(handle, name.c_str(), value ? value->c_str() : nullptr);
             });
           },
           nb::arg("name"), nb::arg("value").none())
      .def("wait", &wait_for_membership, nb::arg("joiner"), nb::arg("group_size"), nb::arg("epoch"),
           nb::arg("timeout_ms"))
      .def("info", &info_of)
      .def("members", &members_of)
      .def("pending", [](CommHandle& self) {
        int pending = 0;
        self.look([&](hawserComm_t handle) { return hawserCommArePeersPending(handle, &pending); });
        return pending != 0;
      });
}

void bind_collectives(nb::class_<CommHandle>& comm) {
  comm.def("all_reduce", &all_reduce, nb::arg("send"), nb::arg("receive").none(), nb::arg("op"),
           nb::arg("tag"), nb::arg("plan"), nb::arg("quantization").none(), nb::arg("residual").none(),
           nb::arg("compress"), nb::arg("timeout_ms"))
      .def("all_reduce_async", &all_reduce_async, nb::arg("send"), nb::arg("receive").none(), nb::arg("op"),
           nb::arg("tag"), nb::arg("plan"), nb::arg("quantization").none(), nb::arg("residual").none(),
           nb::arg("compress"), nb::arg("timeout_ms"))
      .def("all_reduce_many", &all_reduce_many, nb::arg("send"), nb::arg("receive").none(), nb::arg("op"),
           nb::arg("first_tag"), nb::arg("plan"), nb::arg("quantization").none(), nb::arg("compress"),
           nb::arg("in_flight"), nb::arg("fuse_bytes"))
      .def("reduce_scatter", &reduce_scatter, nb::arg("send"), nb::arg("receive"), nb::arg("op"),
           nb::arg("tag"), nb::arg("plan"), nb::arg("quantization").none(), nb::arg("compress"), nb::arg("timeout_ms"))
      .def("all_gather", &all_gather, nb::arg("send"), nb::arg("receive"), nb::arg("tag"), nb::arg("plan"),
           nb::arg("compress"), nb::arg("timeout_ms"))
      .def("broadcast", &broadcast, nb::arg("tensor"), nb::arg("root"), nb::arg("tag"), nb::arg("plan"),
           nb::arg("compress"), nb::arg("timeout_ms"))
      .def("barrier", &barrier, nb::arg("tag"), nb::arg("timeout_ms"));
}

void bind_messages(nb::class_<CommHandle>& comm) {
  const auto bind = [&](const char* name, auto function) {
    comm.def(name, function, nb::arg("tensor"), nb::arg("rank").none(), nb::arg("peer_id"), nb::arg("tag"),
             nb::arg("timeout_ms"));
  };
  bind("send", &send);
  bind("receive", &receive);
  bind("send_async", &send_async);
  bind("receive_async", &receive_async);
}

}  // namespace

void bind_communicator(nb::module_& module) {
  module.attr("MET_JOINER") = nb::int_(HAWSER_MET_JOINER);
  module.attr("MET_GROUP_SIZE") = nb::int_(HAWSER_MET_GROUP_SIZE);
  module.attr("MET_EPOCH") = nb::int_(HAWSER_MET_EPOCH);
  nb::class_<Operation>(module, "Operation")
      .def("test", &Operation::test)
      .def("wait", &Operation::wait, nb::arg("timeout_ms").none())
      .def("cancel", &Operation::cancel)
      .def("stream_wait", &Operation::stream_wait, nb::arg("stream"));
  auto comm = nb::borrow<nb::class_<CommHandle>>(module.attr("CommHandle"));
  bind_membership(comm);
  bind_collectives(comm);
  bind_messages(comm);
}

}  // namespace hawser_python
