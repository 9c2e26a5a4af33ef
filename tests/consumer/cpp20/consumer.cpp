// A stranger's C++20 program on the installed package.
#include <hawser.h>

#include <hawser/hawser.hpp>
#include <iostream>
#include <vector>

int main() {
  auto master = hawser::Master::create({.listen = "127.0.0.1:0"});
  if (!master) {
    std::cout << master.error().name() << ": " << master.error().sentence << "\n";
    return 1;
  }
  std::vector<float> weights{0, 1, 2, 3};
  const auto state = hawser::SharedState::create({{"weights", weights}});
  const auto digest = state ? state->digest() : state.error();
  if (!digest) {
    std::cout << digest.error().name() << ": " << digest.error().sentence << "\n";
    return 1;
  }
  std::cout << "hawser " << hawserGetVersion() << " from C++20, master at " << master->address() << ", digest "
            << *digest << ": "
            << hawserGetResultName(hawserSuccess) << "\n";
  return 0;
}
