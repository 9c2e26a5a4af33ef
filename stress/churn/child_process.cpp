#include "child_process.hpp"

#include <stdexcept>
#include <utility>

namespace hawser::churn {
namespace {

constexpr std::size_t kErrorLinesKept = 100;

std::string own_path() {
  std::string path(4096, '\0');
  std::size_t size = path.size();
  if (uv_exepath(path.data(), &size) != 0) throw std::runtime_error("can't find the own binary");
  path.resize(size);
  return path;
}

ChildProcess* child_of(void* data) { return static_cast<ChildProcess*>(data); }

}  // namespace

std::string describe(const ChildEnd& end) {
  return end.signal != 0 ? "signal " + std::to_string(end.signal)
                         : "exit status " + std::to_string(end.status);
}

std::string ChildProcess::last_words() const {
  std::string words;
  for (const std::string& line : last_error_lines_) {
    const auto says = [&](const char* mark) { return line.find(mark) != std::string::npos; };
    if (words.empty() || says("SUMMARY") || says("ERROR") || says("WARNING: Thread") ||
        says("terminate called") || says("assert")) {
      words = line;
    }
  }
  return words.empty() ? ", silently" : ", saying: " + words;
}

ChildProcess::ChildProcess(uv_loop_t& loop, const std::vector<std::string>& arguments, Callbacks callbacks)
    : callbacks_(std::move(callbacks)) {
  std::string path = own_path();
  std::vector<std::string> owned = arguments;
  std::vector<char*> argv{path.data()};
  for (std::string& argument : owned) argv.push_back(argument.data());
  argv.push_back(nullptr);

  std::array<uv_stdio_container_t, 3> stdio{};
  for (std::size_t i = 0; i < pipes_.size(); ++i) {
    uv_pipe_init(&loop, &pipes_[i], 0);
    pipes_[i].data = this;
    stdio[i].flags =
        static_cast<uv_stdio_flags>(UV_CREATE_PIPE | (i == kIn ? UV_READABLE_PIPE : UV_WRITABLE_PIPE));
    stdio[i].data.stream = reinterpret_cast<uv_stream_t*>(&pipes_[i]);
  }
  uv_process_options_t options{};
  options.file = path.c_str();
  options.args = argv.data();
  options.stdio = stdio.data();
  options.stdio_count = 3;
  options.exit_cb = [](uv_process_t* process, std::int64_t status, int signal) {
    ChildProcess* self = child_of(process->data);
    self->exited_ = true;
    self->end_ = {.status = status, .signal = signal};
    self->end_if_complete();
  };
  process_.data = this;
  const int error = uv_spawn(&loop, &process_, &options);
  if (error != 0) throw std::runtime_error(std::string("can't start a process: ") + uv_strerror(error));
  start_reading(kOut);
  start_reading(kErr);
}

void ChildProcess::start_reading(Stream stream) {
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&pipes_[stream]),
      [](uv_handle_t*, std::size_t, uv_buf_t* out) {
        static std::array<char, 65536> buffer;  // one for all: what is read is consumed before the next read
        *out = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
      },
      [](uv_stream_t* handle, ssize_t size, const uv_buf_t* bytes) {
        ChildProcess* self = child_of(handle->data);
        const Stream which = handle == reinterpret_cast<uv_stream_t*>(&self->pipes_[kOut]) ? kOut : kErr;
        if (size < 0) return self->on_stream_end(which);
        self->on_bytes(which, {bytes->base, static_cast<std::size_t>(size)});
      });
}

void ChildProcess::on_bytes(Stream stream, std::string_view bytes) {
  std::string& partial = partial_[stream];
  partial.append(bytes);
  std::size_t begin = 0;
  for (std::size_t newline = 0; (newline = partial.find('\n', begin)) != std::string::npos;
       begin = newline + 1) {
    const std::string_view line = std::string_view(partial).substr(begin, newline - begin);
    if (stream == kErr) {
      last_error_lines_.emplace_back(line);
      if (last_error_lines_.size() > kErrorLinesKept) last_error_lines_.pop_front();
    }
    const auto& callback = stream == kOut ? callbacks_.on_line : callbacks_.on_error_line;
    if (callback) callback(line);
  }
  partial.erase(0, begin);
}

void ChildProcess::on_stream_end(Stream stream) {
  if (callbacks_.on_unended_line && !partial_[stream].empty()) callbacks_.on_unended_line(partial_[stream]);
  uv_close(reinterpret_cast<uv_handle_t*>(&pipes_[stream]), nullptr);
  --open_streams_;
  end_if_complete();
}

void ChildProcess::end_if_complete() {
  if (!exited_ || open_streams_ > 0 || ended_) return;
  ended_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(&pipes_[kIn]), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&process_), nullptr);
  if (callbacks_.on_end) callbacks_.on_end(end_);
}

void ChildProcess::signal(int number) {
  if (!exited_) uv_process_kill(&process_, number);
}

void ChildProcess::tell(std::string_view line) {
  if (exited_) return;
  std::string bytes(line);
  bytes.push_back('\n');
  const uv_buf_t buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
  uv_try_write(reinterpret_cast<uv_stream_t*>(&pipes_[kIn]), &buffer, 1);
}

}  // namespace hawser::churn
