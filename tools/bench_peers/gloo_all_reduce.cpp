// gloo_all_reduce RANK WORLD STORE_FOLDER SIZES ROUNDS [ADDRESS ALGORITHM]: one member. Lines as timed_rounds.hpp
// says, one label per algorithm of Gloo. With an address, members are on several machines that share the folder, and
// one algorithm is measured call by call.

#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/rendezvous/prefix_store.h>
#include <gloo/transport/tcp/device.h>

#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>

#include "timed_rounds.hpp"

namespace {

using Context = std::shared_ptr<gloo::rendezvous::Context>;
using Reduction = void (*)(void*, const void*, const void*, std::size_t);

void reduce_one(const Context& context, double& value, Reduction reduction) {
  gloo::AllreduceOptions options(context);
  options.setOutput(&value, 1);
  options.setReduceFunction(reduction);
  gloo::allreduce(options);
}

/// Gives every algorithm and size connections of its own. The former algorithms set their connections' send
/// buffers to the size of what they send last, a few bytes, which would slow down all others.
class Mesh {
 public:
  Mesh(int rank, int world, const std::string& folder, const std::string& address)
      : rank_(rank),
        world_(world),
        store_(folder),
        device_(gloo::transport::tcp::CreateDevice(gloo::transport::tcp::attr(address.c_str()))) {}

  Context connect() {
    auto context = std::make_shared<gloo::rendezvous::Context>(rank_, world_);
    // Its 30 s are less than a call may take between machines; who starts the members ends them.
    context->setTimeout(std::chrono::hours(1));
    gloo::rendezvous::PrefixStore store(std::to_string(next_++), store_);
    context->connectFullMesh(store, device_);
    return context;
  }

 private:
  int rank_, world_, next_ = 0;
  gloo::rendezvous::FileStore store_;
  std::shared_ptr<gloo::transport::Device> device_;
};

/// The interface of 2018: one function, out of place.
bench_peers::Algorithm current(Mesh& mesh, const char* label, gloo::AllreduceOptions::Algorithm which) {
  return {.label = label, .prepare = [&mesh, which](float* send, float* receive, std::size_t count) {
            auto options = std::make_shared<gloo::AllreduceOptions>(mesh.connect());
            options->setAlgorithm(which);
            options->setInput(send, count);
            options->setOutput(receive, count);
            options->setReduceFunction(static_cast<Reduction>(&gloo::sum<float>));
            return [options] { gloo::allreduce(*options); };
          }};
}

/// The former one: an object per buffer, in place.
template <template <class...> class Algorithm>
bench_peers::Algorithm former(Mesh& mesh, const char* label) {
  return {.label = label, .in_place = true, .prepare = [&mesh](float* send, float*, std::size_t count) {
            auto algorithm = std::make_shared<Algorithm<float>>(mesh.connect(), std::vector<float*>{send},
                                                                static_cast<int>(count));
            return [algorithm] { algorithm->run(); };
          }};
}

/// All, or the one that was asked for.
std::vector<bench_peers::Algorithm> algorithms(Mesh& mesh, const std::string& wanted) {
  using Which = gloo::AllreduceOptions::Algorithm;
  std::vector<bench_peers::Algorithm> all{current(mesh, "gloo:ring", Which::RING),
                                          current(mesh, "gloo:bcube", Which::BCUBE),
                                          former<gloo::AllreduceRingChunked>(mesh, "gloo:ring_chunked"),
                                          former<gloo::AllreduceHalvingDoubling>(mesh, "gloo:halving_doubling")};
  if (wanted.empty()) return all;
  std::erase_if(all, [&](const auto& algorithm) { return algorithm.label != "gloo:" + wanted; });
  if (all.empty()) throw std::invalid_argument("there is no algorithm " + wanted);
  return all;
}

int run(int argc, char** argv) {
  const bool between_machines = argc == 8;
  bench_peers::Group group{.rank = std::atoi(argv[1]), .world = std::atoi(argv[2])};
  Mesh mesh(group.rank, group.world, argv[3], between_machines ? argv[6] : "127.0.0.1");
  const Context context = mesh.connect();
  group.sum = [=](double mine) { return reduce_one(context, mine, &gloo::sum<double>), mine; };
  group.max = [=](double mine) { return reduce_one(context, mine, &gloo::max<double>), mine; };

  return bench_peers::TimedRounds(group, {argv[4], argv[5], between_machines},
                                  algorithms(mesh, between_machines ? argv[7] : ""))
                 .run()
             ? 0
             : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 6 && argc != 8) return 2;
  return run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "gloo: %s\n", error.what());
  return 1;
}
