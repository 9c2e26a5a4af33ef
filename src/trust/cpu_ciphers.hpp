#pragma once

namespace hawser::trust {

/// TLS 1.3's cipher suites in the order in which this CPU likes them, as OpenSSL takes them.
const char* cipher_suites_of_this_cpu();

}  // namespace hawser::trust
