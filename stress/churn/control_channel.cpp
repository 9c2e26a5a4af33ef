#include "control_channel.hpp"

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace hawser::churn {
namespace {

ControlChannel* channel_of(void* data) { return static_cast<ControlChannel*>(data); }

}  // namespace

ControlChannel::ControlChannel(OnLine on_line, OnTick on_tick)
    : on_line_(std::move(on_line)), on_tick_(std::move(on_tick)), buffer_(4096, '\0') {
  if (uv_loop_init(&loop_) != 0) throw std::runtime_error("can't make an event loop");
  input_.data = tick_.data = stop_.data = this;
  uv_pipe_init(&loop_, &input_, 0);
  uv_timer_init(&loop_, &tick_);
  uv_async_init(&loop_, &stop_, [](uv_async_t* handle) {
    ControlChannel* self = channel_of(handle->data);
    uv_close(reinterpret_cast<uv_handle_t*>(&self->input_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&self->tick_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&self->stop_), nullptr);
  });
  if (uv_pipe_open(&input_, 0) != 0)
    throw std::runtime_error("standard input is not the orchestrator's pipe");
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&input_),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* out) {
        std::string& buffer = channel_of(handle->data)->buffer_;
        *out = uv_buf_init(buffer.data(), static_cast<unsigned>(buffer.size()));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* bytes) {
        if (size < 0) std::_Exit(kOrphanStatus);
        channel_of(stream->data)->on_bytes({bytes->base, static_cast<std::size_t>(size)});
      });
  if (on_tick_) {
    uv_timer_start(
        &tick_, [](uv_timer_t* handle) { channel_of(handle->data)->on_tick_(); }, kTickMs, kTickMs);
  }
  thread_ = std::thread([this] { uv_run(&loop_, UV_RUN_DEFAULT); });
}

ControlChannel::~ControlChannel() {
  uv_async_send(&stop_);
  thread_.join();
  uv_loop_close(&loop_);
}

void ControlChannel::on_bytes(std::string_view bytes) {
  partial_.append(bytes);
  std::size_t newline = 0;
  while ((newline = partial_.find('\n')) != std::string::npos) {
    on_line_(std::string_view(partial_).substr(0, newline));
    partial_.erase(0, newline + 1);
  }
}

}  // namespace hawser::churn
