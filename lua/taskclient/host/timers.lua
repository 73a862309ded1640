-- A binary heap of timers, earliest first: {at = time, what = value}. Knows
-- nothing of what the times mean.

local M = {}

--- Adds a value that falls due at a time; equal times keep their order.
---@param heap table
---@param at number
---@param what any
function M.push(heap, at, what)
  local count = (heap.count or 0) + 1
  heap.count = count
  local entry = { at = at, order = count, what = what }
  local i = #heap + 1
  while i > 1 do
    local up = (i - i % 2) / 2
    local parent = heap[up]
    if parent.at <= at then break end
    heap[i] = parent
    i = up
  end
  heap[i] = entry
end

local function before(a, b)
  return a.at < b.at or a.at == b.at and a.order < b.order
end

-- Sinks an entry from the top to its place.
local function sink(heap, entry, n)
  local i = 1
  while true do
    local child = 2 * i
    if child > n then break end
    if child < n and before(heap[child + 1], heap[child]) then child = child + 1 end
    if not before(heap[child], entry) then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = entry
end

--- Takes the earliest value out of a heap that is not empty.
---@param heap table
---@return any what
function M.pop(heap)
  local n = #heap
  local top, last = heap[1], heap[n]
  heap[n] = nil
  if n > 1 then sink(heap, last, n - 1) end
  return top.what
end

return M
