// openmpi_all_reduce LABEL SIZES ROUNDS [call-by-call]: one member, started by mpirun. Lines as timed_rounds.hpp says.

#include <mpi.h>

#include <string_view>

#include "timed_rounds.hpp"

int main(int argc, char** argv) {
  const bool call_by_call = argc == 5 && argv[4] == std::string_view("call-by-call");
  if (argc != 4 && !call_by_call) return 2;
  MPI_Init(&argc, &argv);
  bench_peers::Group group;
  MPI_Comm_rank(MPI_COMM_WORLD, &group.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &group.world);
  const auto reduce_one = [](MPI_Op op) {
    return [op](double mine) {
      double all = 0;
      MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
      return all;
    };
  };
  group.sum = reduce_one(MPI_SUM);
  group.max = reduce_one(MPI_MAX);

  const bench_peers::Algorithm all_reduce{
      .label = argv[1], .prepare = [](float* send, float* receive, std::size_t count) {
        return [=] { MPI_Allreduce(send, receive, int(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); };
      }};
  const bool right = bench_peers::TimedRounds(group, {argv[2], argv[3], call_by_call}, {all_reduce}).run();
  MPI_Finalize();
  return right ? 0 : 1;
}
