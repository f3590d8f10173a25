// One client connection: requests in, replies out, in the same order.
//
// Everything below runs on the thread of the session's loop, so its members need no lock; only finished_ is filled by other
// threads. A line is taken from the input when the state allows it (may_run) and its verb does: ADD and DEL are started
// and left under way, so that pipelined ones share a commit; any other verb waits until all that was started is
// finished, so that effects follow the order of the requests. A reply has its slot in slots_ from the start and moves
// to the output when all slots before it have moved.
//
// What one client can make the server hold is bounded: input by a line, requests by number and bytes, output by
// kUnsentBytes and one reply. At a bound the session stops reading, and TCP makes the client wait.
//
// How a connection ends:
//   the client closes or half-closes   what it has sent is answered, then close
//   QUIT, an oversize line, drain()    the output is sent, our direction is shut down, input is thrown away until the
//                                      client closes or a short time is over: closing earlier would reset the
//                                      connection, and the client could lose the reply
//   a browser, an I/O error            close at once; what is under way finishes into the void
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/dispatch.h"
#include "daemon/line_buffer.h"

namespace vs::daemon {

class Session : public std::enable_shared_from_this<Session> {
 public:
  // Its executor is that of the session's loop, which one thread runs.
  using Socket = boost::asio::generic::stream_protocol::socket;

  // Threads beside those of the loops.
  struct Pools {
    boost::asio::thread_pool slow{1};  // for what waits for the disk
    boost::asio::thread_pool heavy;    // for what computes for long
    explicit Pools(unsigned threads) : heavy(threads) {}
  };

  // `ended` is called when the session is gone for good, from any thread. `pools` and `service` outlive the session.
  Session(Socket socket, bool local, Service& service, Pools& pools, std::function<void(Session*)> ended);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // These three may be called from any thread.
  void start();
  // Sends one error line and closes: for a client beyond the limit.
  void refuse(const Status& status);
  // Answers what has been read, and closes.
  void drain();

 private:
  struct Slot {
    bool done = false;
    size_t line_bytes = 0;
    std::string reply;
  };

  // Runs one turn's lines and decides what the session waits for next.
  void pump();
  // Whether a further line may be taken.
  bool may_run() const;
  // Handles the next line. False if there is none or it must wait.
  bool run_line();
  void execute(std::string_view line);
  void execute_beside(boost::asio::thread_pool& pool, Handler handler, std::string_view line);
  void finish_now(const Status& status, std::string_view json);
  // A slot for a request that is answered later, by number.
  uint64_t open_slot(size_t line_bytes);
  Done finisher(uint64_t number);
  void collect_finished();
  void move_ready_slots();
  void penalize(std::string reply);

  void send();
  void read();
  void on_read(boost::system::error_code error, size_t size);
  void end();
  void linger();
  void close_after(std::chrono::milliseconds time);
  void close();

  size_t unsent_bytes() const { return output_.size() + sending_.size(); }
  // Also of the replies that wait for one before them.
  size_t reply_bytes() const { return unsent_bytes() + waiting_bytes_; }

  Socket socket_;
  boost::asio::steady_timer timer_;  // the penalty, then the lingering
  Service& service_;
  Pools& pools_;
  std::function<void(Session*)> ended_;
  Client client_;

  LineBuffer input_;
  bool first_line_ = true;
  bool reading_ = false;
  bool turn_posted_ = false;
  bool at_end_ = false;     // the client has closed its direction
  bool exclusive_ = false;  // a request is under way that none may overtake
  bool draining_ = false;
  bool lingering_ = false;
  bool closed_ = false;

  std::deque<Slot> slots_;
  uint64_t first_slot_ = 0;   // number of slots_.front()
  size_t under_way_ = 0;      // slots that are not done
  size_t line_bytes_ = 0;     // of the lines of those
  size_t waiting_bytes_ = 0;  // of the replies in slots_
  std::string output_;        // ready, not yet given to the socket
  std::string sending_;       // given to the socket

  struct Finished {
    uint64_t number;
    std::string reply;
  };
  std::mutex finished_mutex_;
  std::vector<Finished> finished_;
};

}  // namespace vs::daemon
