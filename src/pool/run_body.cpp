#include "pool/run_body.hpp"

#include <exception>

#include "pump/group_core.hpp"
#include "sys/fork_mark.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

worker_end run_body(const launch_context& context, const assignment& what, const worker_body& body) {
  worker_page& page = context.shared.page(what.page);
  const fork_mark mark;
  const auto end = [&](int code, const std::string& words, bool hopeless = false) {
    if (!mark.in_child()) leave_last_words(page, words);
    return worker_end{.by_signal = false, .code = code, .words = words, .hopeless = hopeless};
  };
  try {
    std::vector<int> descriptors;
    for (const datagram_socket& socket : context.sockets.all()) descriptors.push_back(socket.fd());
    const auto link = std::make_shared<worker_link>(context.shared.share_of(what.page), std::move(descriptors));
    link->max_age = context.options.max_age;
    link->client_limit = context.options.client_limit;
    link->client_share = context.options.client_share;
    for (const lane& one : context.options.lanes) link->ages_by_lane.push_back(one.max_age);
    const int own_signal = sys::duplicate(context.shared.page_signal(what.page), 3);
    if (own_signal < 0) {
      return end(status_no_setup,
                 "eventfd: raise the limit of open files (of workers: limits of a worker_pool; else ulimit -n)", true);
    }
    worker self =
        worker_maker::make(link, context.sockets, context.options.waiter, std::make_shared<wake_signal>(own_signal));
    body(self);
  } catch (const std::exception& thrown) {
    return end(status_thrown, thrown.what());
  } catch (...) {
    return end(status_thrown, "an exception of an unknown type");
  }
  return end(0, last_words(page));
}

}  // namespace udppump::detail
