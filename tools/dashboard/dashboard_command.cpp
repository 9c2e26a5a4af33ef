#include "dashboard/dashboard_command.hpp"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <httplib.h>

#include "dashboard/metrics_text.hpp"
#include "dashboard/page.hpp"
#include "hawser_status.h"
#include "status_report.hpp"

namespace {

struct DashboardArguments {
  std::string master = "127.0.0.1:48500";
  std::string listen = "127.0.0.1:48580";
  std::string secret_file;
  double every_s = 0.5;
};

/// What a request is answered with: of one question to the master, however many ask.
struct Snapshot {
  std::string json;
  std::string prometheus;
  std::string open_metrics;
};

Snapshot snapshot_of(const StatusReport* report, const std::string& why_not) {
  Snapshot made{.json = {},
                .prometheus = metrics_text(report, MetricsFormat::prometheus),
                .open_metrics = metrics_text(report, MetricsFormat::open_metrics)};
  made.json = report != nullptr ? status_json(*report) : error_json(why_not);
  return made;
}

/// Asks the master again and again, in a thread of its own.
class Watcher {
 public:
  explicit Watcher(const DashboardArguments& arguments) : arguments_(arguments), now_(ask()) {
    thread_ = std::thread([this] { watch(); });
  }
  ~Watcher() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  std::shared_ptr<const Snapshot> now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }

 private:
  std::shared_ptr<const Snapshot> ask() {
    hawserStatus_t handle = nullptr;
    hawserQueryOptions_t options = HAWSER_QUERY_OPTIONS_INIT;
    options.matrix = 1;
    options.secret_file = arguments_.secret_file.empty() ? nullptr : arguments_.secret_file.c_str();
    if (hawserStatusQueryWith(arguments_.master.c_str(), &options, &handle) != hawserSuccess) {
      const std::string why = hawserGetLastError();
      if (why != complained_of_) std::fprintf(stderr, "hawser dashboard: %s\n", why.c_str());
      complained_of_ = why;
      return std::make_shared<const Snapshot>(snapshot_of(nullptr, why));
    }
    complained_of_.clear();
    const std::unique_ptr<hawserStatus, decltype(&hawserStatusDestroy)> owner(handle, hawserStatusDestroy);
    const StatusReport report = read_status(arguments_.master, handle);
    return std::make_shared<const Snapshot>(snapshot_of(&report, {}));
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, std::chrono::duration<double>(arguments_.every_s), [this] { return over_; })) {
      lock.unlock();
      auto next = ask();
      lock.lock();
      now_ = std::move(next);
    }
  }

  const DashboardArguments& arguments_;
  std::string complained_of_;  ///< Of the thread that asks.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::shared_ptr<const Snapshot> now_;
  std::thread thread_;
};

constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Not of names such as 127.elsewhere.example.
bool is_loopback(const std::string& host) {
  in_addr four{};
  if (host == "::1" || host == "localhost") return true;
  return host.starts_with("127.") && ::inet_pton(AF_INET, host.c_str(), &four) == 1;
}

/// A page elsewhere may have a name of its own point to 127.0.0.1, and then read what is served there (DNS rebinding).
bool names_this_host(const std::string& host_header) {
  const auto colon = host_header.rfind(':');
  const bool has_port = colon != std::string::npos && host_header.find(']', colon) == std::string::npos;
  std::string host = has_port ? host_header.substr(0, colon) : host_header;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return is_loopback(host);
}

void add_routes(httplib::Server& server, const Watcher& watcher, bool only_here) {
  if (only_here)
    server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
      if (names_this_host(request.get_header_value("Host"))) return httplib::Server::HandlerResponse::Unhandled;
      response.status = 403;
      response.set_content("ask for this page by the name localhost or the address 127.0.0.1\n", "text/plain");
      return httplib::Server::HandlerResponse::Handled;
    });
  server.set_default_headers({{"Cache-Control", "no-store"},
                              {"X-Content-Type-Options", "nosniff"},
                              {"Referrer-Policy", "no-referrer"},
                              {"Content-Security-Policy", kPolicy}});
  server.Get("/", [](const httplib::Request&, httplib::Response& response) {
    const std::string_view page = dashboard_page();
    response.set_content(page.data(), page.size(), "text/html; charset=utf-8");
  });
  server.Get("/status.json", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(watcher.now()->json, "application/json");
  });
  server.Get("/metrics", [&](const httplib::Request& request, httplib::Response& response) {
    const auto now = watcher.now();
    if (request.get_header_value("Accept").find("application/openmetrics-text") != std::string::npos)
      response.set_content(now->open_metrics, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    else
      response.set_content(now->prometheus, "text/plain; version=0.0.4; charset=utf-8");
  });
  // A browser keeps its connection, and no request has a body.
  server.set_payload_max_length(4096);
  server.set_keep_alive_max_count(1000);
  server.set_read_timeout(5);
  server.set_write_timeout(5);
  server.new_task_queue = [] { return new httplib::ThreadPool(8); };
}

struct Place {
  std::string host;
  int port = 0;
};

std::optional<Place> place_of(const std::string& listen) {
  const auto colon = listen.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  Place place{.host = listen.substr(0, colon)};
  if (place.host.starts_with('[') && place.host.ends_with(']'))
    place.host = place.host.substr(1, place.host.size() - 2);
  const std::string digits = listen.substr(colon + 1);
  if (place.host.empty() || digits.empty() || digits.size() > 5 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  place.port = std::stoi(digits);
  if (place.port > 65535) return std::nullopt;
  return place;
}

int serve(const DashboardArguments& arguments) {
  const std::optional<Place> place = place_of(arguments.listen);
  if (!place) {
    std::fprintf(stderr, "hawser dashboard: --listen %s is no HOST:PORT, such as 127.0.0.1:48580\n",
                 arguments.listen.c_str());
    return 1;
  }
  // Every thread inherits this: signals wait until the one thread below takes them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  const Watcher watcher(arguments);
  httplib::Server server;
  add_routes(server, watcher, is_loopback(place->host));
  const int port = place->port != 0 ? (server.bind_to_port(place->host.c_str(), place->port) ? place->port : -1)
                                    : server.bind_to_any_port(place->host.c_str());
  if (port < 0) {
    std::fprintf(stderr,
                 "hawser dashboard: cannot listen on %s: the port is taken, or the address is not this host's\n",
                 arguments.listen.c_str());
    return 1;
  }
  const std::string shown =
      (place->host.find(':') == std::string::npos ? place->host : "[" + place->host + "]") + ":" + std::to_string(port);
  std::printf("hawser dashboard of %s: http://%s/ and http://%s/metrics\n", arguments.master.c_str(), shown.c_str(),
              shown.c_str());
  if (!is_loopback(place->host))
    std::printf("whoever reaches this address sees names, addresses and rates of the run; HTTP here has no password\n");
  std::fflush(stdout);
  std::atomic<bool> told{false};
  std::atomic<bool> ended{false};
  std::thread stopper([&] {
    int signal = 0;
    (void)sigwait(&ending, &signal);
    told = true;
    // A server that has not begun yet does not hear it.
    while (!ended) {
      server.stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const bool served = server.listen_after_bind();
  ended = true;
  if (!told) ::pthread_kill(stopper.native_handle(), SIGTERM);
  stopper.join();
  return served || told ? 0 : 1;
}

}  // namespace

void add_dashboard_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<DashboardArguments>();
  CLI::App* command = app.add_subcommand(
      "dashboard", "Serve a live page of a run, and its metrics for Prometheus, over HTTP on this machine");
  command
      ->add_option("master", arguments->master,
                   "ADDRESS:PORT of the master, or of several, separated by commas: the first that serves the run "
                   "answers")
      ->capture_default_str();
  command
      ->add_option("--listen", arguments->listen, "HOST:PORT of the page (/) and the metrics (/metrics); port 0: any")
      ->capture_default_str();
  command->add_option("--secret-file", arguments->secret_file,
                      "A key of an observer, or another of the run (default: HAWSER_SECRET_FILE)");
  command->add_option("--every", arguments->every_s, "Seconds from one question to the master to the next")
      ->capture_default_str()
      ->check(CLI::Range(0.3, 3600.0));
  command->footer("Ends at SIGINT or SIGTERM with 0; with 1 if it cannot listen. A master that is away is waited for.");
  command->callback([arguments, &status] { status = serve(*arguments); });
}
