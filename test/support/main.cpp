// The main of every test program. Besides what GoogleTest itself knows:
//
//   --of NAME      only the cases that stand in NAME-test.cpp; ctest has an entry for each such file

#include <gmock/gmock.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

/// A filter of the cases in that file; empty if there are none.
std::string cases_of(const std::string& name) {
  const std::string file = "/" + name + "-test.cpp";
  std::string filter;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const testing::TestSuite& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const testing::TestInfo& one = *suite.GetTestInfo(t);
      if (!std::string_view{one.file()}.ends_with(file)) continue;
      if (!filter.empty()) filter += ':';
      filter.append(suite.name()).append(".").append(one.name());
    }
  }
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  if (argc == 1) return RUN_ALL_TESTS();
  if (argc != 3 || std::string_view{argv[1]} != "--of") {
    std::fprintf(stderr, "usage: %s [--of NAME] [GoogleTest's options]\n", argv[0]);
    return 2;
  }
  const std::string filter = cases_of(argv[2]);
  if (filter.empty()) {
    std::fprintf(stderr, "%s has no case of %s-test.cpp\n", argv[0], argv[2]);
    return 2;
  }
  GTEST_FLAG_SET(filter, filter);
  return RUN_ALL_TESTS();
}
