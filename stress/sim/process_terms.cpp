#include "sim/process.hpp"

#include <algorithm>

#include "sim/violation.hpp"

/// Of several masters, whom a member hears.
namespace hawser::sim {

/// A member that has accepted a master is removed by that one and later ones only.
void Process::check_term(const MasterMessage& message, bool was_member) {
  if (const auto* const welcome = std::get_if<Welcome>(&message))
    accepted_term_ = was_member ? std::max(accepted_term_, welcome->term) : welcome->term;
  const auto* const expelled = std::get_if<Expelled>(&message);
  if (expelled && was_member && expelled->term < accepted_term_ && (gone() || !info().connected))
    throw Violation(name_ + " has accepted a master of term " + std::to_string(accepted_term_) +
                    ", and was removed by one of term " + std::to_string(expelled->term));
}

}  // namespace hawser::sim
