#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

TEST(redelivery, a_successor_that_dies_before_it_serves_does_not_have_the_datagram_answered_twice) {
  shared<std::atomic<int>> lives;
  auto pool = pool_process{{.workers = 1, .restart = {.first_delay = 1ms}, .redeliver = redelivery{.most = 5}},
                           [&lives](worker_pool& made) {
                             return made.run([&lives](worker& self) {
                               const int life = ++*lives;
                               if (life == 2 || life == 3) ::_exit(3);  // into the page, and the memory, of the first
                               const auto answer = [life](datagram& received) {
                                 if (life == 1) ::_exit(3);
                                 echo(received);
                               };
                               static_cast<void>(self.serve(answer));
                             });
                           }};
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("once"), "once");
  EXPECT_EQ(client.receive(300ms), "") << "the same datagram was answered again";
  EXPECT_EQ(pool.status().redelivery->redelivered, 1u);
  EXPECT_EQ(*lives, 4);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(redelivery, an_idle_worker_takes_at_once_what_another_died_of) {
  shared<std::atomic<int>> seen;
  auto pool = pool_process::serving_with(
      {.workers = 2, .restart = {.first_delay = 10min, .longest_delay = 10min}, .redeliver = redelivery{.most = 5}},
      [&seen](datagram& received) {
        if (++*seen == 1) ::_exit(3);
        echo(received);
      });
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("once"), "once") << "nobody is started, and nothing else comes that would wake the other one";
  EXPECT_EQ(pool.status().redelivery->redelivered, 1u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(redelivery, a_poison_file_that_somebody_laid_as_a_link_or_fifo_is_refused_at_once_and_untouched) {
  const private_folder folder;
  const std::string target = folder / "target";
  std::ofstream{target} << "untouched";
  ASSERT_EQ(::symlink(target.c_str(), (folder / "symbolic").c_str()), 0);
  ASSERT_EQ(::link(target.c_str(), (folder / "hard").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  const auto refusal = [&](const std::string& name) -> std::string {
    try {
      const worker_pool made{
          {.bind = {"127.0.0.1:0"}, .workers = 1, .redeliver = redelivery{.poison_file = folder / name}}};
    } catch (const std::system_error& refused) {
      return refused.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal("symbolic"), testing::HasSubstr("symbolic link; give the path of the file"));
  EXPECT_THAT(refusal("hard"), testing::HasSubstr("hard link"));
  EXPECT_THAT(refusal("fifo"), testing::HasSubstr("remove it"));
  EXPECT_EQ(std::filesystem::file_size(target), 9U);
}

TEST(redelivery, two_pools_in_turn_append_to_the_same_poison_file_which_is_the_owners_alone) {
  const std::string file = temporary_path("poison-of-two");
  std::remove(file.c_str());
  const mode_t before = ::umask(0);
  for (const char* text : {"first", "second"}) {
    auto pool = pool_process::serving_with(
        {.workers = 1, .restart = {.first_delay = 1ms}, .redeliver = redelivery{.most = 0, .poison_file = file}},
        [](datagram&) { ::_exit(3); });
    const asking_client client{pool.address()};
    client.send(text);
    EXPECT_TRUE(pool.says("datagram-poisoned: ")) << pool.log();
    EXPECT_EQ(pool.stop(), 0) << pool.log();
  }
  ::umask(before);
  std::vector<std::string> lines;
  std::ifstream poison{file};
  for (std::string line; std::getline(poison, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find(" payload=6669727374"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find(" payload=7365636f6e64"), std::string::npos) << lines[1];
  struct stat about {};
  ASSERT_EQ(::stat(file.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  std::remove(file.c_str());
}

}  // namespace
