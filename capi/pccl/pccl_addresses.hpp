#pragma once

#include <string>

#include "pccl_compat.h"

/// Addresses of PCCL's structs as Hawser writes them, and back.
namespace hawser_pccl {

/// "1.2.3.4:5" or "[::1]:5".
std::string text_of(const ccoip_socket_address_t& address);

/// Where a master listens: ":PORT" for all interfaces.
std::string listen_text_of(const ccoip_socket_address_t& address);

/// Reads "1.2.3.4:5" or "[::1]:5". False: it is neither.
bool read_address(const std::string& text, ccoip_socket_address_t& address);

/// Whether somebody accepts connections at this address. Blocks for 5 s at most.
bool is_reachable(const ccoip_socket_address_t& address);

}  // namespace hawser_pccl
