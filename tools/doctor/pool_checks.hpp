#pragma once

#include "doctor/finding.hpp"
#include "doctor/pool_facts.hpp"

/// Each looks at one thing of a pool, and finds nothing, or what is so and what helps.
namespace udppump::doctor {

findings check_serving(const looks<pool_facts>& pool);
findings check_processes(const looks<pool_facts>& pool);
findings check_hangs(const looks<pool_facts>& pool);
findings check_deaths(const looks<pool_facts>& pool);
findings check_buffers(const looks<pool_facts>& pool);
findings check_drops(const looks<pool_facts>& pool);
findings check_queues(const looks<pool_facts>& pool);
findings check_stranded(const looks<pool_facts>& pool);
findings check_discarded(const looks<pool_facts>& pool);
findings check_strangers(const looks<pool_facts>& pool);
findings check_waiters(const looks<pool_facts>& pool);
findings check_cores(const looks<pool_facts>& pool);
findings check_throttling(const looks<pool_facts>& pool);
findings check_memory(const looks<pool_facts>& pool);
findings check_limits(const looks<pool_facts>& pool);
findings check_programs(const looks<pool_facts>& pool);
findings check_pid_file(const looks<pool_facts>& pool);
findings check_unit(const looks<pool_facts>& pool);

/// All of these.
findings check_pool(const looks<pool_facts>& pool);

}  // namespace udppump::doctor
