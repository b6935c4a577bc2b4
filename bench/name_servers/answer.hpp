#pragma once

#include <string>

#include "name_servers/sample_zone.hpp"
#include "udppump/address.hpp"

namespace bench {

/// What a server says to a question, as text: response code, flags, the records of each section. Two servers said the
/// same if the texts are equal; the order of a section's records and the way that names are compressed do not count.
/// Empty if no answer comes within 100 ms.
std::string answer_of(const udppump::address& server, const sample_zone::question& question);

}  // namespace bench
