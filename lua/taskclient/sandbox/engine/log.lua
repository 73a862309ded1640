-- The log entries of running jobs: numbered as they come, written in batches.

local M = {}

local BATCH = 500 -- rows of one INSERT

local Log = {}
Log.__index = Log

---@param store table
---@param task integer
function M.open(store, task)
  local last = store:row("SELECT max(n) AS n FROM log WHERE task = ?", task).n or 0
  return setmetatable({ store = store, task = task, last = last, waiting = {} }, Log)
end

---Adds an entry; `flush` writes it.
---@param line string
function Log:add(line) self.waiting[#self.waiting + 1] = line end

function Log:add_all(lines)
  for _, line in ipairs(lines) do self:add(line) end
end

---Writes what waits; the caller holds the transaction.
function Log:flush()
  local waiting = self.waiting
  if #waiting == 0 then return end
  self.waiting = {}
  local connection = self.store.connection
  for from = 1, #waiting, BATCH do
    local values = {}
    for i = from, math.min(from + BATCH - 1, #waiting) do
      local text = waiting[i]:gsub("%z", "\u{FFFD}")
      values[#values + 1] = ("(%d,%d,'%s')"):format(self.task, self.last + i,
        connection:escape(text))
    end
    self.store:run("INSERT INTO log(task, n, line) VALUES " .. table.concat(values, ","))
  end
  self.last = self.last + #waiting
end

return M
