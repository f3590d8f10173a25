// Tells systemd how the service stands, as sd_notify(3) does.
#pragma once

#include <string_view>

namespace vs::daemon {

// Sends `state` ("READY=1", "STOPPING=1") to $NOTIFY_SOCKET. Does nothing when that is not set; a failure is logged.
void notify_systemd(std::string_view state);

}  // namespace vs::daemon
