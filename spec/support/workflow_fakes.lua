-- Stand-ins for the core, the host and two servers, on a clock that only
-- sleeping moves: for specs of the workflow layer without a server. Call
-- install() before the layer is required; it replaces package.loaded entries.
local real = require "taskclient.core"

local M = { clock = 1000, wall = 1767571200, slept = 0 }

local server_wall = M.wall

-- A file in memory that survives its holder, as a disk does a process.
M.disk = { files = {}, locked = {}, syncs = 0, synced = {} }
local File = {}
File.__index = File

local function io_error(message)
  return nil, require("taskclient.error").new("io", message)
end

function File:read() return M.disk.files[self.path] end
function File:write(text)
  if M.disk.locked[self.path] ~= self then return io_error(self.path
    .. ": its process is dead") end
  if M.disk.full then return io_error(self.path .. ": No space left on device") end
  if M.disk.before_write then M.disk.before_write(text) end
  M.disk.files[self.path] = M.disk.files[self.path] .. text
  if M.disk.on_write then M.disk.on_write(text) end
  return true
end
function File:sync()
  M.disk.syncs = M.disk.syncs + 1
  M.disk.synced[self.path] = M.disk.files[self.path]
  return true
end
function File:truncate(n)
  M.disk.files[self.path] = M.disk.files[self.path]:sub(1, n)
  return true
end
function File:close()
  if M.disk.locked[self.path] == self then M.disk.locked[self.path] = nil end
end

local function append(path, first, look)
  if look then
    if M.disk.files[path] then return setmetatable({ path = path }, File) end
    return io_error(path .. ": No such file or directory")
  end
  if M.disk.locked[path] then return io_error(path .. ": locked by another run") end
  if M.disk.full and not M.disk.files[path] then return io_error(path
    .. ": No space left on device") end
  M.disk.locked[path] = setmetatable({ path = path }, File)
  if not M.disk.files[path] then
    M.disk.files[path], M.disk.synced[path] = first or "", first or ""
  end
  return M.disk.locked[path]
end

--- What was not synced is gone, as is whoever had a file open.
function M.disk.power_failure()
  M.disk.locked = {}
  for path in pairs(M.disk.files) do M.disk.files[path] = M.disk.synced[path] end
end

local seed = 1
local function random(n)
  local list = {}
  for i = 1, n do
    seed = (seed * 1103515245 + 12345) % 2147483648
    list[i] = string.format("%02x", math.floor(seed / 65536) % 256)
  end
  return table.concat(list)
end

local core = {
  options = real.options,
  now = function() return M.clock end, time = function() return M.wall + M.clock end,
  clean = real.clean, redactor = real.redactor, encode = real.encode, array = real.array,
  crc32 = real.crc32, random = random, append = append, decode = real.decode, null = real.null,
  error_mt = {}, array_mt = real.array_mt, fields = function(object) return object end,
  sigint = function() return not M.ctrl_c end, caught = function() return nil end,
  signals = function() return { close = function() end } end,
  writer = real.writer, terminal = function() return nil end, step = function() end,
}

M.core = core
M.host = { name = "fake", await = function() end }
function M.host.sleep(seconds)
  assert(seconds >= 0 and seconds < 1e6, "sleep for " .. tostring(seconds))
  M.slept = M.slept + 1
  M.clock = M.clock + seconds
  if M.on_sleep then M.on_sleep(seconds) end
end

local function await(host, event, deadline)
  while not event:done() and M.clock < deadline do
    host.sleep(math.min(0.25, deadline - M.clock))
  end
end

--- What the stock interpreters do at Ctrl-C.
function M.press_ctrl_c()
  M.ctrl_c = true
  error("script.lua:7: interrupted!", 0)
end

--- Puts the stand-ins in place of the real modules.
function M.install()
  M.disk.files, M.disk.locked, M.disk.full, M.disk.synced = {}, {}, false, {}
  M.disk.on_write, M.disk.before_write, M.on_sleep, M.interrupt, M.ctrl_c = nil, nil, nil, nil, nil
  package.loaded["taskclient.core"] = core
  package.loaded["taskclient.host"] = { current = function() return M.host end, await = await,
    durable = function(_, said) return said == true end }
  for name in pairs(package.loaded) do
    if name:find "^taskclient%.workflow" or name:find "^taskclient%.run%f[%W]"
      or name == "taskclient.error"
      or name == "taskclient.options" or name == "taskclient.rpc.retry" then
      package.loaded[name] = nil
    end
  end
end

local Job = {}
Job.__index = Job
Job.__tostring = function(job)
  return string.format("%s job %s", job.client.service, tostring(job.id))
end
local Client = {}
Client.__index = Client

local function new_error(kind, message, fields)
  return require("taskclient.error").new(kind, message, fields)
end

--- A server with its tasks; `plan(n, spec)` tells {queue=, run=, state=, code=, log=} of the
--- n-th submit.
function M.server(service, plan)
  return { service = service, order = {}, plan = plan or function() return {} end, tasks = {},
    count = 0,
    submits = 0, rounds = 0, requests = 0, polls = {} }
end

function M.client(server)
  return setmetatable({ service = server.service, server = server }, Client)
end

local function state_of(task)
  local age = M.clock - task.at
  if task.killed then return "cancelled", "Cancelled" end
  if age < task.queue then return "queued", "Inited" end
  if age < task.queue + task.run then
    return "running", "Running", (age - task.queue) / task.run
  end
  return task.state, ({ succeeded = "Succeed", failed = "Failed" })[task.state] or task.state
end

local function down(server)
  local why = server.down
  if type(why) == "function" then why = why() end
  if why then return why end
end

function Client:attach(handle)
  local id = type(handle) == "table" and handle.id or handle
  return setmetatable({ id = id, client = self }, Job)
end

function Client.redact(_, text) return (text:gsub("the client's own", "***")) end

-- Both servers refuse a spec that has no JSON form, among others.
function Client.check_spec(_, spec)
  local text, why = core.encode(spec)
  if not text then error(why, 0) end
end

local function make_task(server, spec)
  server.count = server.count + 1
  local plan = server.plan(server.count, spec)
  local id = server.service == "linkis" and server.count or "proc-" .. server.count
  server.tasks[id] = { id = id, key = spec.key, spec = spec, at = M.clock, queue = plan.queue
    or 1,
    run = plan.run or 3, state = plan.state or "succeeded", code = plan.code, log = plan.log
      or {} }
  table.insert(server.order, id)
  return id
end

local function find(server, key)
  for _, id in ipairs(server.order or {}) do
    if server.tasks[id].key == key then return id end
  end
end

function Client:submit(spec, opts)
  local server = self.server
  opts = opts or {}
  server.requests = server.requests + 1
  local why = down(server)
  if why then return nil, why end
  if spec.key and opts.adopt ~= false then
    server.lookups = (server.lookups or 0) + 1
    local id = find(server, spec.key)
    if id then return self:attach(id) end
  end
  if server.refuse then
    local err = server.refuse(spec)
    if err then return nil, err end
  end
  server.submits = server.submits + 1
  if server.before_submit then server.before_submit(spec) end
  local id = make_task(server, spec)
  if server.after_submit then
    local err = server.after_submit(spec, id)
    if err then return nil, err end
  end
  local job = self:attach(id)
  job.key = spec.key
  return job
end

-- The server's clock is right whatever `wall` says; `timeless`: it tells no time.
function Client:server_time() return not self.server.timeless and server_wall + M.clock or nil end

function Client:reconcile(key, since)
  local server = self.server
  server.since = since
  server.lookups = (server.lookups or 0) + 1
  local why = down(server)
  if why then return nil, why end
  if server.before_lookup then server.before_lookup(key) end
  local id = find(server, key)
  return id and self:attach(id)
end

function Client:submitted(prefix)
  local server, ids = self.server, {}
  server.lookups = (server.lookups or 0) + 1
  local why = down(server)
  if why then return nil, why end
  for id, task in pairs(server.tasks) do
    if task.key and task.key:sub(1, #prefix) == prefix then ids[task.key] = id end
  end
  return ids
end

function Client:trace(level, event)
  self.server.events = self.server.events or {}
  table.insert(self.server.events, level .. " " .. event.what)
end

function Client.keep_alive() end

local function entry_of(server, job)
  local task = server.tasks[job.id]
  if server.entry then
    local entry = server.entry(job, task)
    if entry then return entry end
  end
  if not task then
    return { err = new_error("service", "no such task", { vanished = true }) }
  end
  local state, native, progress = state_of(task)
  return { state = state, native = native, progress = progress, info = task }
end

function Client:states(jobs)
  local server = self.server
  server.rounds = server.rounds + 1
  server.requests = server.requests + math.ceil(#jobs / 30)
  server.polls[#server.polls + 1] = { at = M.clock, jobs = #jobs }
  if M.interrupt then M.interrupt() end
  local why = down(server)
  if why then return nil, why end
  local entries = {}
  for i, job in ipairs(jobs) do entries[i] = entry_of(server, job) end
  return entries
end

function Job:handle()
  return { service = self.client.service, id = self.id, url = self.client.url }
end
function Job:error(info)
  return new_error("service", "it broke", { code = info and info.code, job_id = self.id })
end
function Job:abort()
  self.client.server.tasks[self.id].killed = true
  return { killed = true }
end

local Log = {}
Log.__index = Log

local function log_lines(log)
  local task = log.job.client.server.tasks[log.job.id]
  local state = state_of(task)
  local ended = state ~= "queued" and state ~= "running"
  local share = ended and 1 or math.min(1, (M.clock - task.at) / (task.queue + task.run))
  return task.log, math.floor(#task.log * share), ended
end

function Log:poll()
  local server = self.job.client.server
  if server.log_error then return nil, server.log_error() end
  local all, upto, ended = log_lines(self)
  if self.at >= upto and ended then return nil end
  local lines = {}
  while self.at < upto and #lines < 3 do
    self.at = self.at + 1
    lines[#lines + 1] = all[self.at]
  end
  return lines
end

function Log:read()
  self.at = self.at + 1
  return self.job.client.server.tasks[self.job.id].log[self.at]
end

function Job:logs()
  if self.client.service == "lindorm" then return nil, new_error("unsupported", "no logs") end
  return setmetatable({ job = self, at = 0 }, Log)
end

M.new_error = new_error

return M
