-- The log of a task as ring and file, read once from the state and then only added to.
-- Knows the log table and ring.lua; no HTTP.

local db = require "taskclient.sandbox.face.db"
local memory = require "taskclient.sandbox.face.memory"
local ring = require "taskclient.sandbox.ring"
local settings = require "taskclient.sandbox.face.settings"

local M = {}

local KEPT = 8 -- logs in memory; the oldest use goes first
local kept, order = {}, {}

local function touch(id)
  for i, other in ipairs(order) do
    if other == id then table.remove(order, i) break end
  end
  order[#order + 1] = id
  if #order > KEPT then kept[table.remove(order, 1)] = nil end
end

local function state_of(task)
  local state = kept[task.id]
  if not state or state.size ~= settings.ring_size then
    state = { entries = {}, file = {}, flushed = 0, ended = false, size = settings.ring_size }
    kept[task.id] = state
  end
  touch(task.id)
  return state
end

---The log of a task as it stands now.
---@param task table row
---@return table state as ring.read takes it
function M.read(task)
  local state = state_of(task)
  if state.ended then return state end
  local fresh = db.rows("SELECT line FROM log WHERE task = ? AND n > ? ORDER BY n", task.id,
    #state.entries)
  for _, row in ipairs(fresh) do state.entries[#state.entries + 1] = row.line end
  state.flushed = ring.flush(state.file, state.entries, state.flushed, state.size)
  state.writing = settings.null_slots and #fresh > 0
  -- the file is whole when history says so; memory trails it
  if task.ended_ms or memory.is_ended(task.mem_status) then
    ring.finish(state.file, state.entries, state.flushed, state.size)
    state.ended = true
  end
  return state
end

---The log as a plain list of lines, for the profile that knows no ring.
---@param task table row
---@return table state as ring.read takes it
function M.whole(task)
  local state = M.read(task)
  local lines = {}
  ring.finish(lines, state.entries, 0, state.size)
  return { entries = state.entries, file = lines, flushed = 0, ended = true, size = state.size }
end

return M
