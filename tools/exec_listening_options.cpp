#include <CLI/CLI.hpp>

#include "command_line.hpp"
#include "exec_options.hpp"
#include "exec_values.hpp"
#include "lane_option.hpp"
#include "load/plan/quantity.hpp"

namespace udppump::tools {

using std::chrono::milliseconds;

void add_listening_options(CLI::App& app, exec_options& wanted) {
  constexpr char group[] = "Listening";
  socket_options& socket = wanted.pool.socket;
  add_repeated(app, "--bind", [&wanted](const std::string& text) { wanted.pool.bind.push_back(text); },
               {"[NAME=]ADDR", "",
                "listen there: 127.0.0.1:53, [::1]:53, :53 (everywhere, by IPv6 and IPv4, or by the one that there "
                "is), unix:PATH; may be given again. Port 0 takes a "
                "free one. "
                "NAME is for LISTEN_FDNAMES. Needless if systemd passes sockets",
                group});
  add_repeated(app, "--lane", [&wanted](const std::string& text) { wanted.pool.lanes.push_back(parse_lane(text)); },
               {"NAME[=EXPRESSION][,OPTION=VALUE]", "",
                "a queue of its own for datagrams that match, such as 'quick=payload[2] < 4 and len < 100' "
                "(pcap-filter(7), over the payload); may be given again, and the first that matches takes it; the "
                "others are in the lane \"rest\". Each worker gets a socket for each lane that it serves. Options, "
                "with commas between them: "
                "reserve=N (N workers serve this lane and those before it alone), workers=N (N serve it, and it "
                "alone), from=NETWORK (senders there alone), receive-buffer=SIZE",
                group});
  add_parsed(
      app, "--receive-buffer", socket.receive_buffer, load::parse_buffer_size,
      {"SIZE", "", "bytes of payload that may wait in each socket: 65536, 256K, 4M; default: the kernel's", group});
  add_parsed(
      app, "--max-wait", wanted.run.max_wait, time_in(milliseconds{1}),
      {"TIME", "",
       "make each receive buffer as large as what is served in this time, so that nothing is served too late: half of "
       "the time that clients wait, such as 500ms, in whole milliseconds; default 0: buffers stay as they are",
       group});
  add_parsed(app, "--send-buffer", socket.send_buffer, load::parse_buffer_size,
             {"SIZE", "", "the same for what is sent, in bytes", group});
  add_repeated(app, "--join", [&socket](const std::string& text) { socket.join.push_back(parse_group(text)); },
               {"GROUP[%INTERFACE]", "",
                "receive this multicast group, such as 239.255.255.250 or ff02::fb%eth0; may be given again", group});
  add_parsed(
      app, "--device", socket.device, parse_interface,
      {"NAME", "", "receive only from this interface, such as eth0; one that is made again is bound to anew", group});
  using mtu = path_mtu_discovery;
  add_parsed(
      app, "--path-mtu", socket.path_mtu,
      one_of<mtu>({{"default", mtu::kernel_default},
                   {"omit", mtu::omit},
                   {"interface", mtu::interface},
                   {"dont", mtu::dont},
                   {"want", mtu::want},
                   {"always", mtu::always},
                   {"probe", mtu::probe}}),
      {"NAME", "",
       "path MTU discovery: omit (as DNS servers do), interface, dont, want, always, probe, or default (the kernel's)",
       group});
  app.add_flag(
         "--v6only", [&socket](std::int64_t) { socket.v6only = setting::on; }, "[::] takes IPv6 only, not IPv4 as well")
      ->group(group);
  app.add_flag("--broadcast", socket.broadcast, "allow sending to broadcast addresses")->group(group);
  app.add_flag("--reuse-port", socket.reuse_port, "share the port with other sockets of this user (SO_REUSEPORT)")
      ->group(group);
}

}  // namespace udppump::tools
