#pragma once

namespace hawser::sim {

/// A visitor from lambdas, one for each case of a variant.
template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace hawser::sim
