-- What a pool thread of nginx runs for host/nginx.lua: it sits in poll(2) on
-- the core's descriptor, so that the worker stays free. Runs in a Lua state
-- of its own, and therefore knows nothing but the numbers it is given.

local ffi = require "ffi"

ffi.cdef [[
struct taskclient_pollfd { int fd; short events; short revents; };
int poll(struct taskclient_pollfd *fds, unsigned long n, int timeout);
]]

local POLLIN = 1
local entry = ffi.new "struct taskclient_pollfd[1]"

local M = {}

--- Waits until the descriptor is readable.
---@param fd integer
---@param milliseconds integer at most this long
---@return boolean ready
function M.wait(fd, milliseconds)
  entry[0].fd, entry[0].events = fd, POLLIN
  return ffi.C.poll(entry, 1, milliseconds) > 0
end

return M
