-- A server of logs, played by the log model in the place of request.send: for specs of
-- the log cursor. Knows what a server answers; judges nothing.

local core = require "taskclient.core"
local log_model = require "spec.support.log_model"

local M = {
  TASK = 12, EXEC = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_shell_0",
  clock = 1000, -- seconds: what the cursor takes for the time
}

local Server = {}
Server.__index = Server

---opts: base, thin, as of the log model.
function M.new(opts)
  local self = setmetatable({
    log = log_model.new { base = opts and opts.base or 1, thin = opts and opts.thin },
    status = "Running", exec = M.EXEC, path = "file:///log/12.log", asked = {}, ticks = 0,
  }, Server)
  return self
end

function Server:add(n, text)
  self.written = self.written or 0
  for _ = 1, n do
    self.written = self.written + 1
    self.log:add((text or "line ") .. self.written)
  end
end

function Server:finish(status)
  self.status = status or "Succeed"
  self.log:finish()
end

local answers = {} -- by operation; a spec may put others in their place
M.answers = answers

function answers.get(self)
  return true, self.status, self.exec, self.path, nil, self.changed
end

function answers.log(self, args)
  if self.refuse_log then return nil, self.refuse_log end
  if args.id ~= M.EXEC then
    return { log = "somebody else's line", fromLine = args.fromLine + 1 }
  end
  local data = {}
  data.log, data.fromLine = self.log:read(args.fromLine, args.size)
  return data
end

-- Each empty line of the file comes twice (protocols 3.12.5).
function answers.openLog(self)
  if self.refuse_file then return nil, self.refuse_file end
  local text = self.log:file_text()
  if not self.single then text = ("\n" .. text):gsub("\n(\n+)", "\n%1%1"):sub(2) end
  return { log = { "", "", "", text } }
end

---What request.send gives.
function M.sent(server, operation, args)
  server.asked[#server.asked + 1] = operation
  if server.before then server.before(operation, args) end
  local failing = server.fail and server.fail(operation)
  if failing then return nil, nil, failing end
  return {}, answers[operation](server, args)
end

---The job whose log the server has; its sleeps move the clock, and call server.tick.
function M.job(server)
  local host = { name = "spec", await = function() end }
  function host.sleep(seconds)
    M.clock = M.clock + seconds
    server.ticks = server.ticks + 1
    assert(server.ticks < 2000, "sleeps for ever")
    if server.tick then server.tick(server.ticks, seconds) end
  end
  local client = assert(core.client("linkis",
    { url = "http://127.0.0.1:9", fields = { host = host, service = "linkis" } }, {}))
  return core.job(client, {}, { id = M.TASK, client = client })
end

return M
