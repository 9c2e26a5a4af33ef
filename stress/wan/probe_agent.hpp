#pragma once

namespace hawser::wan {

/// Measures from inside a host what TCP gets, on the word of `hawser-wan check`: one command per line of
/// standard input, one answer per line of standard output.
///
///   ready port=P                                  said at the beginning
///   ping to=A:P count=N                           -> pinged cc=NAME min_us=U median_us=U
///   flow to=A:P connections=K warm_ms=W window_ms=M  -> flowed bytes=B ns=T resent=S
///                                                    (received within the window, after the warm-up)
///   give to=A:P,A:P,... bytes=B connections=K      -> connected
///   go                                             -> gave ns=T resent=S
///
/// Each may be answered by `failed text=...`. Blocks until standard input ends; the process's exit status.
int run_probe_agent();

}  // namespace hawser::wan
