#pragma once

#include "doctor/finding.hpp"
#include "doctor/machine_facts.hpp"

/// Each looks at one thing, and finds nothing, or what is so and what helps.
namespace udppump::doctor {

findings check_largest_buffer(const looks<machine_facts>& machine);
findings check_udp_counts(const looks<machine_facts>& machine);
findings check_udp_memory(const looks<machine_facts>& machine);
findings check_connections(const looks<machine_facts>& machine);
findings check_backlog(const looks<machine_facts>& machine);
findings check_interfaces(const looks<machine_facts>& machine);
findings check_clock(const looks<machine_facts>& machine);
findings check_uring(const looks<machine_facts>& machine);

/// All of these.
findings check_machine(const looks<machine_facts>& machine);

}  // namespace udppump::doctor
