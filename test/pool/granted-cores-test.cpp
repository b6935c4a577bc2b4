// What control groups grant, read from files that are laid out as the kernel's are.

#include "pool/granted_cores.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/private_folder.hpp"

namespace {

using udppump::detail::granted_cores;

class machine {
 public:
  void has(const std::string& path, const std::string& content) const {
    const std::filesystem::path file{folder_ / path};
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << content << '\n';
  }
  void has_quota(const std::string& group, const std::string& quota, const std::string& period = "100000") const {
    has(group + "/cpu.cfs_quota_us", quota);
    has(group + "/cpu.cfs_period_us", period);
  }
  double grants() const { return granted_cores(folder_ / ""); }

 private:
  private_folder folder_;
};

constexpr char first_version[] =
    "22 20 0:20 / /proc rw,relatime shared:12 - proc proc rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuset rw,relatime shared:10 - cgroup cgroup rw,cpuset";

TEST(granted_cores, a_quota_of_the_first_version_counts) {
  const machine one;
  one.has("proc/self/mountinfo", first_version);
  one.has("proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/service\n0::/");
  EXPECT_EQ(one.grants(), 0);
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/service", "150000");
  EXPECT_EQ(one.grants(), 1.5);
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/service", "20000", "5000");
  EXPECT_EQ(one.grants(), 4);
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/service", "-1");
  EXPECT_EQ(one.grants(), 0);
}

TEST(granted_cores, of_groups_within_each_other_the_smallest_quota_counts) {
  const machine one;
  one.has("proc/self/mountinfo", first_version);
  one.has("proc/self/cgroup", "4:cpu,cpuacct:/slice/service/part");
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/slice/service/part", "400000");
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/slice/service", "300000");
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/slice", "350000");
  one.has_quota("sys/fs/cgroup/cpu,cpuacct", "-1");
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/slice/other", "100000");
  EXPECT_EQ(one.grants(), 3);
  one.has_quota("sys/fs/cgroup/cpu,cpuacct", "250000");
  EXPECT_EQ(one.grants(), 2.5);
}

TEST(granted_cores, a_container_that_sees_only_its_own_group_finds_it_where_it_is_mounted) {
  const machine one;
  one.has("proc/self/mountinfo",
          "40 31 0:29 /docker/c0ffee /control\\040groups/cpu ro,relatime master:9 - cgroup cgroup rw,cpu");
  one.has("proc/self/cgroup", "4:cpu:/docker/c0ffee/worker");
  one.has_quota("control groups/cpu", "200000");
  EXPECT_EQ(one.grants(), 2);
  one.has_quota("control groups/cpu/worker", "100000");
  EXPECT_EQ(one.grants(), 1);
  // Names that only begin alike, and what is above the namespace, are of others.
  one.has("proc/self/cgroup", "4:cpu:/docker/c0ffee2");
  EXPECT_EQ(one.grants(), 0);
  one.has("proc/self/cgroup", "4:cpu:/docker/c0ffee/../other");
  EXPECT_EQ(one.grants(), 0);
}

TEST(granted_cores, both_versions_count_beside_each_other) {
  const machine one;
  one.has("proc/self/mountinfo",
          std::string{first_version} + "\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw");
  one.has("proc/self/cgroup", "4:cpu,cpuacct:/service\n0::/slice/service");
  one.has("sys/fs/cgroup/unified/slice/service/cpu.max", "max 100000");
  one.has_quota("sys/fs/cgroup/cpu,cpuacct/service", "300000");
  EXPECT_EQ(one.grants(), 3);
  one.has("sys/fs/cgroup/unified/slice/cpu.max", "50000 100000");
  EXPECT_EQ(one.grants(), 0.5);
}

TEST(granted_cores, what_cannot_be_read_is_no_limit) {
  const machine one;
  EXPECT_EQ(one.grants(), 0);
  one.has("proc/self/mountinfo", "nonsense\n1 2 - cgroup\n - cgroup2\n32 31 0:29 / /cpu rw - cgroup cgroup rw,cpu");
  one.has("proc/self/cgroup", "nonsense\n4:cpu\n4:cpu:\n0::/");
  EXPECT_EQ(one.grants(), 0);
  one.has_quota("cpu", "lots");
  EXPECT_EQ(one.grants(), 0);
  one.has_quota("cpu", "100000", "0");
  EXPECT_EQ(one.grants(), 0);
}

}  // namespace
