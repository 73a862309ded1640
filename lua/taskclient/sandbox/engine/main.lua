-- The engine's loop: looks for new tasks, loads and commands when it is poked (an empty UDP
-- datagram), and now and then by itself; keeps the queues; ends everything when its input closes.

local uv = require "luv"
local cjson = require "cjson"
local groups = require "taskclient.sandbox.groups"
local job = require "taskclient.sandbox.engine.job"
local loads = require "taskclient.sandbox.engine.loads"
local store = require "taskclient.sandbox.store"
local words = require "taskclient.sandbox.words"

local M = {}

local TICK = 2000 -- ms between two looks without a poke
local HEARTBEAT_CREATORS = { linkiscli = true, bdpclient = true }
local KILL_BY_USER = { code = words.killed.code, desc = words.killed.desc, kill_entries = true }
local KILL_BY_RESTART = { desc = words.restarted.desc, exact = true, keeps_progress = true }

local engine = { jobs = {}, running = {}, instances = {}, warm = {}, next_port = 42249 }

-- What jobs ask of the engine ---------------------------------------------------------------------

function engine.instance(queue)
  if not engine.instances[queue] then
    engine.instances[queue] = "127.0.0.1:" .. engine.next_port
    engine.next_port = engine.next_port + 1
  end
  return engine.instances[queue]
end

-- Seconds until the engine of this queue is up; only the first job waits.
function engine.start_delay(queue)
  if engine.warm[queue] then return 0 end
  engine.warm[queue] = true
  return engine.settings.engine_start
end

function engine.on_end(ended)
  local queue = ended.task.queue
  engine.jobs[ended.task.id] = nil
  engine.running[queue] = engine.running[queue] - 1
  engine.look()
end

-- Tasks -------------------------------------------------------------------------------------------

local function labels_of(task)
  local labels = {}
  local ok, list = pcall(cjson.decode, task.labels)
  for _, label in ipairs(ok and type(list) == "table" and list or {}) do
    local name, value = tostring(label):match("^([^:]+):(.*)$")
    if name then labels[name] = value end
  end
  return labels
end

-- A job that runs longer than its label allows ends as Cancelled (protocols 4.1).
local function limit_running(new)
  local seconds = tonumber(labels_of(new.task).jobRunningTimeout)
  if not seconds or seconds <= 0 then return end
  new.limit = job.after(math.floor(seconds * 1000), function()
    new.limit = nil
    new:kill { desc = ("Job is killed because it ran longer than %d seconds"):format(seconds) }
  end)
end

local function take(task)
  local new = job.new(task, engine)
  engine.jobs[task.id] = new
  engine.running[task.queue] = (engine.running[task.queue] or 0) + 1
  new:start()
  if not new.finished then limit_running(new) end
end

local function find_work()
  local queues = engine.store:rows [[SELECT queue FROM task
    WHERE mem_status = 'Inited' AND status = 'Inited' GROUP BY queue]]
  local due = math.floor((job.now() - engine.settings.execution_delay) * 1000)
  for _, row in ipairs(queues) do
    local free = engine.settings.max_running - (engine.running[row.queue] or 0)
    if free > 0 then
      local tasks = engine.store:rows([[SELECT * FROM task WHERE mem_status = 'Inited'
        AND status = 'Inited' AND queue = ? AND submitted_ms <= ? ORDER BY id LIMIT ?]],
        row.queue, due, free)
      for _, task in ipairs(tasks) do take(task) end
    end
  end
end

-- Ends a task that is not at work: waiting, or left behind by an earlier engine.
local function cancel_row(task, verdict, command)
  local idle = job.new(task, engine)
  engine.running[task.queue] = (engine.running[task.queue] or 0) + 1
  engine.jobs[task.id] = idle
  idle:kill(verdict, command)
end

-- The same for a job that waits longer than its label allows.
local function limit_queuing()
  for _, task in ipairs(engine.store:rows [[SELECT * FROM task WHERE mem_status = 'Inited'
    AND status = 'Inited' AND labels LIKE '%jobQueuingTimeout:%']]) do
    local seconds = tonumber(labels_of(task).jobQueuingTimeout)
    if seconds and job.now() - task.submitted_ms / 1000 > seconds then
      cancel_row(task, { desc = ("Job is killed because it waited longer than %d seconds")
        :format(seconds) })
    end
  end
end

local live = "mem_status NOT IN ('Succeed','Failed','Cancelled','Timeout')"

local function cancel_live(entrance)
  for _, task in ipairs(engine.store:rows("SELECT * FROM task WHERE " .. live
    .. " AND (? IS NULL OR entrance = ?)", entrance, entrance)) do
    local running = engine.jobs[task.id]
    if running then running:kill(KILL_BY_RESTART) else cancel_row(task, KILL_BY_RESTART) end
  end
end

-- Jobs of these creators live as long as somebody asks for their state (protocols 3.1).
local function check_heartbeats()
  local oldest = math.floor((job.now() - engine.settings.heartbeat_timeout) * 1000)
  for _, running in pairs(engine.jobs) do
    if HEARTBEAT_CREATORS[running.task.creator:lower()] then
      local row = engine.store:row([[SELECT coalesce(seen_ms, submitted_ms) AS seen
        FROM task WHERE id = ?]], running.task.id)
      if row.seen < oldest then running:kill { desc = words.heartbeat_lost.desc } end
    end
  end
end

-- Commands ----------------------------------------------------------------------------------------

local commands = {}

function commands.kill(row)
  local running = engine.jobs[row.task]
  if running then
    running:kill(KILL_BY_USER, row.id)
    return true
  end
  local task = engine.store:row("SELECT * FROM task WHERE id = ? AND " .. live, row.task)
  if not task then return end
  cancel_row(task, KILL_BY_USER, row.id)
  return true
end

function commands.cancel_all(row)
  local args = row.args and cjson.decode(row.args) or {}
  cancel_live(args.entrance)
end

function commands.reload() end -- settings are read before each look

function commands.stop() M.stop() end

function commands.load_abort(row) return loads.abort(row.task, row.id) end

function commands.load_delete(row) return loads.delete(row.task, row.id) end

function commands.load_retry() end -- the look that follows finds it Running

local function run_commands()
  for _, row in ipairs(engine.store:rows "SELECT * FROM command WHERE done = 0 ORDER BY id") do
    if not engine.seen_commands[row.id] then
      engine.seen_commands[row.id] = true
      local later = commands[row.kind] and commands[row.kind](row)
      if not later then engine.store:run("UPDATE command SET done = 1 WHERE id = ?", row.id) end
    end
  end
end

-- The loop ----------------------------------------------------------------------------------------

---Looks for work once; calls that come while it looks make it look again.
function engine.look()
  if engine.looking then
    engine.again = true
    return
  end
  engine.looking = true
  repeat
    engine.again = false
    engine.settings = engine.store:settings()
    for _, running in pairs(engine.jobs) do running.settings = engine.settings end
    run_commands()
    find_work()
    loads.look()
  until not engine.again
  engine.looking = false
end

local function tick()
  engine.look()
  check_heartbeats()
  limit_queuing()
end

local function listen()
  local udp = uv.new_udp()
  assert(udp:bind("127.0.0.1", 0))
  udp:recv_start(function(err, data)
    if not err and data then engine.look() end
  end)
  engine.store:set { engine_port = udp:getsockname().port }
end

---Ends all work, then the process. Groups that resist are killed.
function M.stop()
  if engine.stopping then return end
  engine.stopping = true
  groups.kill_left(engine.dir)
  engine.store:close()
  if engine.orphan then M.end_orphan() end
  os.exit(0)
end

-- The supervisor itself was killed: nobody else is left to end nginx and to clean the folder.
function M.end_orphan()
  local file = io.open(engine.dir .. "/nginx.pid")
  local pid = file and tonumber(file:read("l"))
  if file then file:close() end
  if pid then uv.kill(pid, "sigterm") end
  require("taskclient.sandbox.folder").clean(engine.dir)
end

local function watch_supervisor()
  local parent = uv.os_getppid()
  local input = uv.new_pipe()
  input:open(0)
  input:read_start(function(err, chunk)
    if chunk and not err then return end
    local supervisor = io.open("/proc/" .. parent .. "/stat")
    engine.orphan = uv.os_getppid() ~= parent or not supervisor
    M.stop()
  end)
end

---@param dir string the sandbox's folder
---@param scripts string folder of the sandbox's scripts, with a slash
function M.run(dir, scripts)
  engine.dir, engine.scripts, engine.interpreter = dir, uv.fs_realpath(scripts) .. "/", uv.exepath()
  engine.data_file = dir .. "/" .. store.data_file
  engine.store = store.open_state(dir)
  engine.settings = engine.store:settings()
  engine.seen_commands = {}
  engine.work_folder = dir .. "/work"
  uv.fs_mkdir(engine.work_folder, 448)
  groups.prepare(dir)
  engine.environment = {
    "TASKCLIENT_SANDBOX_DB=" .. engine.data_file, "TASKCLIENT_SANDBOX_DIR=" .. dir,
  }
  for name, value in pairs(uv.os_environ()) do
    engine.environment[#engine.environment + 1] = name .. "=" .. value
  end
  store.open(engine.data_file):close()
  loads.prepare(engine)
  cancel_live(nil)
  listen()
  watch_supervisor()
  for _, name in ipairs { "sigint", "sighup", "sigpipe" } do
    uv.new_signal():start(name, function() end)
  end
  uv.new_signal():start("sigterm", M.stop)
  uv.new_timer():start(TICK, TICK, tick)
  io.write "ready\n"
  io.flush()
  engine.look()
  uv.run()
end

return M
