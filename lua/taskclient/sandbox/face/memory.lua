-- What the entrances remember: queues of slots by short id, and how a job is found
-- (protocols 3.3, 5). Job history is another thing: `task.status`.

local db = require "taskclient.sandbox.face.db"
local execid = require "taskclient.sandbox.execid"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

local ended = { Succeed = true, Failed = true, Cancelled = true, Timeout = true }

---True for the four last states.
function M.is_ended(status) return ended[status] == true end

---The entrances that live now.
---@return string[]
function M.entrances()
  local list = settings.entrances
  if not settings.entrance_crash then return list end
  return { unpack(list, 2) }
end

---A living entrance: the named one, else a random one; nil when none lives.
function M.route(instance)
  local list = M.entrances()
  for _, name in ipairs(list) do
    if name == instance then return name end
  end
  return list[math.random(1, math.max(1, #list))]
end

---Acts on the switches that make entrances forget: raised once, obeyed once.
function M.forget()
  if settings.entrance_restart ~= settings.restarts_seen then
    db.run "DELETE FROM slot"
    settings.set("restarts_seen", settings.entrance_restart)
  end
  if settings.idle_clear ~= settings.clears_seen then
    db.run [[UPDATE slot SET task = NULL WHERE (entrance, queue) NOT IN (SELECT s.entrance, s.queue
      FROM slot s
      JOIN task t ON t.id = s.task WHERE t.status NOT IN
        ('Succeed','Failed','Cancelled','Timeout'))]]
    settings.set("clears_seen", settings.idle_clear)
  end
end

---Gives a new task its slot; call it inside a transaction.
---@return integer index
function M.take_slot(entrance, queue, task)
  local row = db.row("SELECT max(idx) AS top FROM slot WHERE entrance = ? AND queue = ? "
    .. "AND task IS NOT NULL", entrance, queue)
  local index = (row.top or -1) + 1
  db.run("INSERT OR REPLACE INTO slot(entrance, queue, idx, task) VALUES(?, ?, ?, ?)",
    entrance, queue, index, task)
  db.run("DELETE FROM slot WHERE entrance = ? AND queue = ? AND idx <= ?",
    entrance, queue, index - settings.slots)
  return index
end

---Looks a short id up in one entrance.
---@return string outcome "found", "empty" (no job in the slot) or "unknown" (the lookup throws)
---@return table|integer? what the task row; for "unknown" the index that would be next, if any
function M.find(entrance, short)
  local queue, index = execid.split(short or "")
  if not queue then return "unknown" end
  local slot = db.row("SELECT task FROM slot WHERE entrance = ? AND queue = ? AND idx = ?",
    entrance, queue, index)
  if not slot then
    local top = db.row("SELECT max(idx) AS top FROM slot WHERE entrance = ? AND queue = ?",
      entrance, queue)
    return "unknown", (top.top or -1) + 1
  end
  if not slot.task then return "empty" end
  return "found", db.row("SELECT * FROM task WHERE id = ?", slot.task)
end

---A task's row in job history.
function M.task(id) return db.row("SELECT * FROM task WHERE id = ?", id) end

---The execID of a task as its entrance gives it.
function M.exec_id(task)
  if versions.profile().legacy_exec_id then
    return execid.make_legacy(task.entrance, task.creator, task.engine, task.short_id)
  end
  return execid.make(task.entrance, task.short_id)
end

---Tells the engine that there is something to do.
function M.poke()
  local port = settings.engine_port
  if port == 0 then return end
  local socket = ngx.socket.udp()
  if socket:setpeername("127.0.0.1", port) then socket:send("!") end
  socket:close()
end

return M
