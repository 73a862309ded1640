-- One running process of the engine: a session of its own, its output line by line, its end.
-- Knows processes only; what the lines mean is its owner's business.

local uv = require "luv"
local groups = require "taskclient.sandbox.groups"

local M = {}

local LINE_LIMIT = 1 << 20 -- bytes of a line without an end
local DRAIN = 500 -- ms that output may still come after the process has ended

local Work = {}
Work.__index = Work

local function lines_of(on_line)
  local rest = ""
  return function(chunk)
    if not chunk then
      if rest ~= "" then on_line(rest) end
      rest = ""
      return
    end
    local text, from = rest .. chunk, 1
    while true do
      local stop = text:find("\n", from, true)
      if not stop then break end
      on_line(text:sub(from, stop - 1))
      from = stop + 1
    end
    rest = text:sub(from)
    if #rest > LINE_LIMIT then
      on_line(rest)
      rest = ""
    end
  end
end

local function read(work, pipe, on_line)
  local feed = lines_of(on_line)
  pipe:read_start(function(err, chunk)
    feed(not err and chunk or nil)
    if err or not chunk then
      if not pipe:is_closing() then pipe:close() end
      work.open = work.open - 1
      work:settle()
    end
  end)
end

local function write_input(pipe, text)
  pipe:write(text, function()
    if not pipe:is_closing() then pipe:close() end
  end)
end

---Starts a process.
---@param dir string the sandbox's folder
---@param spec table program, args, env (list), cwd, input (text), on_line(stream, line),
---on_end(code, signal)
---@return table? work
---@return string? reason
function M.start(dir, spec)
  local input, output, errors = uv.new_pipe(), uv.new_pipe(), uv.new_pipe()
  local work = setmetatable({ dir = dir, open = 2, spec = spec, pipes = { output, errors } }, Work)
  local handle, pid = uv.spawn(spec.program, {
    args = spec.args, env = spec.env, cwd = spec.cwd, detached = true,
    stdio = { input, output, errors },
  }, function(code, signal) work:ended(code, signal) end)
  if not handle then
    for _, pipe in ipairs { input, output, errors } do pipe:close() end
    return nil, pid
  end
  work.handle, work.pid = handle, pid
  groups.add(dir, pid)
  read(work, output, function(line) spec.on_line("out", line) end)
  read(work, errors, function(line) spec.on_line("err", line) end)
  write_input(input, spec.input or "")
  return work
end

-- What the process left running in its group ends with it.
function Work:ended(code, signal)
  uv.kill(-self.pid, "sigkill")
  groups.remove(self.dir, self.pid)
  self.handle:close()
  self.code, self.signal = code, signal
  self.drain = uv.new_timer()
  self.drain:start(DRAIN, 0, function()
    for _, pipe in ipairs(self.pipes) do
      if not pipe:is_closing() then pipe:close() end
    end
    self.open = 0
    self:settle()
  end)
  self:settle()
end

function Work:settle()
  if not self.code or self.open > 0 or self.settled then return end
  self.settled = true
  self.drain:close()
  if self.grace then self.grace:close() end
  self.spec.on_end(self.code, self.signal)
end

---Ends the whole group: SIGTERM, and SIGKILL to what is left after `grace` seconds.
---@param grace number
function Work:kill(grace)
  if self.code or self.grace then return end
  uv.kill(-self.pid, "sigterm")
  self.grace = uv.new_timer()
  self.grace:start(math.floor(grace * 1000), 0, function()
    if not self.code then uv.kill(-self.pid, "sigkill") end
  end)
end

return M
