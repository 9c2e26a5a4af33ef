// A stranger's C++20 program on the installed package.
#include <hawser.h>

#include <array>
#include <iostream>

int main() {
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = "127.0.0.1:0";
  hawserMaster_t master = nullptr;
  std::array<char, HAWSER_ADDRESS_BYTES> address{};
  hawserResult_t result = hawserMasterCreate(&config, &master);
  if (result == hawserSuccess) result = hawserMasterGetAddress(master, address.data(), address.size());
  if (result != hawserSuccess) {
    std::cout << hawserGetResultName(result) << ": " << hawserGetLastError() << "\n";
    return 1;
  }
  std::cout << "hawser " << hawserGetVersion() << " from C++20, master at " << address.data() << "\n";
  return hawserMasterDestroy(master) == hawserSuccess ? 0 : 1;
}
