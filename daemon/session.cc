#include "daemon/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cctype>

#include "daemon/text.h"

namespace vs::daemon {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// What one session runs in one go before others have their turn: so many requests, or those that fit into this time. A
// search takes from microseconds to some milliseconds, so the number alone would not keep the others' waiting short.
constexpr int kTurnRequests = 64;
constexpr std::chrono::microseconds kTurnTime{2000};
constexpr size_t kOutputKept = size_t{256} << 10;
constexpr milliseconds kPenalty{500};
constexpr milliseconds kLinger{5000};
// While shutting down; idle clients that do not look at their connection are not waited for any longer.
constexpr milliseconds kDrainLinger{250};

constexpr std::array<std::string_view, 9> kHttpMethods = {"GET",     "POST",  "HEAD",    "PUT",  "DELETE",
                                                          "OPTIONS", "PATCH", "CONNECT", "TRACE"};

std::string_view first_word(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  return line.substr(begin, std::min(line.find_first_of(" \t\r", begin), line.size()) - begin);
}

// A web page can make a browser send any body to a port of the user's own machine, but the first line is the browser's.
// Our own GET is told apart by what follows: no collection's name looks like a path.
bool looks_like_http(std::string_view line) {
  const std::string_view method = first_word(line);
  if (std::find(kHttpMethods.begin(), kHttpMethods.end(), method) == kHttpMethods.end()) return false;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return method == "POST" || line.starts_with(std::string(method) + " /") || line.ends_with(" HTTP/1.1") ||
         line.ends_with(" HTTP/1.0");
}

Status run(Handler handler, const Call& call, std::string& json) {
  const Status status = handler(call, json);
  if (!status.ok() || json.size() <= limits::kReplyBytes) return status;
  return {Code::kTooLarge, "the reply would have " + std::to_string(json.size()) + " bytes, at most " +
                               std::to_string(limits::kReplyBytes) + " are replied; ask for less at a time"};
}

// A large reply's memory is not kept for the next one, which may never come.
void empty(std::string& sent) {
  sent.clear();
  if (sent.capacity() > kOutputKept) std::string().swap(sent);
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

const Command* command_of(std::string_view line) {
  std::string verb(first_word(line));
  for (char& c : verb) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return find_command(verb);
}

}  // namespace

Session::Session(Socket socket, bool local, Service& service, Pools& pools, std::function<void(Session*)> ended)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      service_(service),
      pools_(pools),
      ended_(std::move(ended)) {
  boost::system::error_code ignored;  // the first read says what is wrong with the socket
  socket_.non_blocking(true, ignored);
  client_.local = local;
  client_.authorized = local || service.token.empty();
}

Session::~Session() { ended_(this); }

void Session::start() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->pump(); });
}

void Session::refuse(const Status& status) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), status] {
    self->client_.closing = true;
    append_reply(self->output_, status, {});
    self->pump();
  });
}

void Session::drain() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->draining_ = true;
    if (self->lingering_ && !self->closed_) self->close_after(kDrainLinger);
    self->pump();
  });
}

void Session::pump() {
  if (closed_ || lingering_) return;
  // First, so that below a full slots_ means that something is under way, which will call pump() again.
  move_ready_slots();
  int turn = kTurnRequests;
  const auto turn_end = std::chrono::steady_clock::now() + kTurnTime;
  while (turn > 0 && run_line()) turn = std::chrono::steady_clock::now() < turn_end ? turn - 1 : 0;
  if (closed_) return;
  const bool unsent = unsent_bytes() > limits::kUnsentBytes;
  send();
  if (closed_) return;
  // What was sent at once ends nothing that would call pump() again.
  if (unsent && unsent_bytes() == 0) turn = 0;
  if (turn == 0) {
    // One at a time: each of the events that call pump() would otherwise begin a chain of its own.
    if (std::exchange(turn_posted_, true)) return;
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->turn_posted_ = false;
      self->pump();
    });
    return;
  }
  if (!may_run()) {
    // Something under way calls pump() when it is over; if nothing is, this is the end.
    end();
    return;
  }
  if (input_.peek()) return;  // waits for the ADDs and DELs before it
  if (!at_end_ && !draining_) {
    read();
    return;
  }
  if (at_end_ && input_.size() > 0) {
    finish_now({Code::kBadRequest, "the last line does not end with LF, so it may be cut off and was not run"}, {});
    input_.clear();
    send();
  }
  client_.closing = true;
  end();
}

bool Session::may_run() const {
  return !client_.closing && !exclusive_ && slots_.size() < limits::kRequestsInFlight &&
         line_bytes_ <= limits::kRequestBytesInFlight && reply_bytes() <= limits::kUnsentBytes;
}

bool Session::run_line() {
  if (!may_run()) return false;
  const auto line = input_.peek();
  if (line ? line->size() > limits::kLineBytes : input_.size() > limits::kLineBytes) {
    finish_now({Code::kTooLarge, "a line has at most " + std::to_string(limits::kLineBytes) +
                                     " bytes, got more; the connection is closed"},
               {});
    client_.closing = true;
    return false;
  }
  if (!line) return false;
  if (is_blank(*line)) {
    input_.consume();
    return true;
  }
  if (first_line_ && looks_like_http(*line)) {
    spdlog::debug("closed reason=http line={}", excerpt(*line));
    close();
    return false;
  }
  first_line_ = false;
  if (under_way_ > 0) {
    const Command* const command = command_of(*line);
    if (command == nullptr || command->start == nullptr) return false;
  }
  // The view stays good: only prepare(), which comes with the next read, moves bytes.
  input_.consume();
  execute(*line);
  return true;
}

void Session::execute(std::string_view line) {
  service_.requests.fetch_add(1, std::memory_order_relaxed);
  const auto request = protocol::parse_request(line);
  if (!request.ok()) return finish_now(request.status(), {});
  const auto admitted = admit(service_, client_, *request);
  if (!admitted.ok()) return finish_now(admitted.status(), {});
  const Command& command = **admitted;
  const Call call{service_, client_, *request};

  if (command.start != nullptr) {
    const uint64_t number = open_slot(line.size());
    const Status status = command.start(call, finisher(number));
    if (!status.ok()) finisher(number)(status, {});
    return;
  }
  if (command.slow != nullptr) return execute_beside(pools_.slow, command.slow, line);
  if (command.heavy != nullptr && command.heavy(call)) return execute_beside(pools_.heavy, command.run, line);
  std::string json;
  const Status status = run(command.run, call, json);
  finish_now(status, json);
}

void Session::execute_beside(asio::thread_pool& pool, Handler handler, std::string_view line) {
  exclusive_ = true;
  // The request is views into the line, which may be gone by then.
  asio::post(pool, [self = shared_from_this(), handler, copy = std::string(line), done = finisher(open_slot(0))] {
    const auto again = protocol::parse_request(copy);
    std::string json;
    const Status status = run(handler, Call{self->service_, self->client_, *again}, json);
    done(status, std::move(json));
  });
  // The analyzer of clang-tidy 14 loses sight of what Asio allocates for the handler above.
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)

void Session::finish_now(const Status& status, std::string_view json) {
  if (!status.ok()) {
    service_.errors.fetch_add(1, std::memory_order_relaxed);
    spdlog::debug("refused code={} message={}", code_name(status.code()), excerpt(status.message()));
  }
  if (client_.penalty) {
    client_.penalty = false;
    std::string reply;
    append_reply(reply, status, json);
    return penalize(std::move(reply));
  }
  if (slots_.empty()) {
    append_reply(output_, status, json);
    return;
  }
  Slot& slot = slots_.emplace_back();
  slot.done = true;
  append_reply(slot.reply, status, json);
  waiting_bytes_ += slot.reply.size();
}

uint64_t Session::open_slot(size_t line_bytes) {
  slots_.emplace_back().line_bytes = line_bytes;
  line_bytes_ += line_bytes;
  ++under_way_;
  return first_slot_ + slots_.size() - 1;
}

Done Session::finisher(uint64_t number) {
  return [self = shared_from_this(), number](const Status& status, const std::string& json) {
    if (!status.ok()) self->service_.errors.fetch_add(1, std::memory_order_relaxed);
    std::string reply;
    append_reply(reply, status, json);
    bool first = false;
    {
      const std::lock_guard lock(self->finished_mutex_);
      first = self->finished_.empty();
      self->finished_.push_back({number, std::move(reply)});
    }
    // A whole commit finishes at a time: one wake-up for all that belong to this session.
    if (first) asio::post(self->socket_.get_executor(), [self] { self->collect_finished(); });
  };
}

void Session::collect_finished() {
  std::vector<Finished> finished;
  {
    const std::lock_guard lock(finished_mutex_);
    finished.swap(finished_);
  }
  for (Finished& one : finished) {
    Slot& slot = slots_[one.number - first_slot_];
    slot.done = true;
    slot.reply = std::move(one.reply);
    waiting_bytes_ += slot.reply.size();
    line_bytes_ -= slot.line_bytes;
    --under_way_;
  }
  if (under_way_ == 0) exclusive_ = false;
  pump();
}

void Session::move_ready_slots() {
  while (!slots_.empty() && slots_.front().done) {
    output_ += slots_.front().reply;
    waiting_bytes_ -= slots_.front().reply.size();
    slots_.pop_front();
    ++first_slot_;
  }
}

void Session::penalize(std::string reply) {
  exclusive_ = true;
  timer_.expires_after(kPenalty);
  timer_.async_wait([self = shared_from_this(), reply = std::move(reply)](boost::system::error_code) {
    self->exclusive_ = false;
    self->output_ += reply;
    self->pump();
  });
}

void Session::send() {
  if (!sending_.empty() || output_.empty()) return;
  sending_.swap(output_);
  // Mostly the socket takes all of it. That saves an event, and with it a round through the loop.
  boost::system::error_code error;
  const size_t sent = socket_.write_some(asio::buffer(sending_), error);
  if (error && error != asio::error::would_block) return close();
  if (sent == sending_.size()) return empty(sending_);
  asio::async_write(socket_, asio::buffer(sending_) + sent,
                    [self = shared_from_this()](boost::system::error_code failed, size_t) {
                      if (self->closed_) return;
                      if (failed) return self->close();
                      empty(self->sending_);
                      self->pump();
                    });
}

void Session::read() {
  if (reading_) return;
  reading_ = true;
  const auto room = input_.prepare();
  socket_.async_read_some(asio::buffer(room.data(), room.size()),
                          [self = shared_from_this()](boost::system::error_code error, size_t size) {
                            self->reading_ = false;
                            self->on_read(error, size);
                          });
}

void Session::on_read(boost::system::error_code error, size_t size) {
  if (closed_) return;
  if (error && (error != asio::error::eof || lingering_)) return close();
  if (lingering_) return read();
  if (error) at_end_ = true;
  input_.commit(size);
  pump();
}

void Session::end() {
  if (!client_.closing || exclusive_ || !slots_.empty() || unsent_bytes() > 0) return;
  if (at_end_) return close();
  linger();
}

void Session::linger() {
  lingering_ = true;
  input_.clear();
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  close_after(draining_ ? kDrainLinger : kLinger);
  read();
}

// In place of what the timer waited for before.
void Session::close_after(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error) self->close();
  });
}

void Session::close() {
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
}

}  // namespace vs::daemon
