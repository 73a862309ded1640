-- When to try again: attempts, full jitter, one budget per client so that an
-- outage does not multiply the load. Knows errors and the
-- clock; knows no operation.

local core = require "taskclient.core"
local failure = require "taskclient.error"

local M = {}

M.ATTEMPTS = 3

local BASE, THROTTLED_BASE, LONGEST = 0.05, 1, 20 -- seconds
local COST, THROTTLED_COST = 14, 5
M.CAPACITY = 500 -- of a budget that is full

--- A number from 0 to 1 from the system, for Lua 5.1 seeds its own badly.
---@return number
function M.random() return tonumber(core.random(4), 16) / 2 ^ 32 end

--- A budget of retries, one per client.
---@return table
function M.budget() return { left = M.CAPACITY } end

local function throttled(err)
  return err.http_status == 429 or err.http_status == 503
end

--- Seconds to wait before the next attempt.
---@param tried integer attempts so far
---@param err table why the last one failed
---@return number
function M.delay(tried, err)
  local base = throttled(err) and THROTTLED_BASE or BASE
  local delay = M.random() * math.min(base * 2 ^ tried, LONGEST)
  return math.max(delay, tonumber(err.retry_after) or 0)
end

--- Whether the failure of a request that may be repeated, whatever it changed, may pass by itself.
---@param err table
---@return boolean
function M.passes(err)
  local status = err.http_status or 0
  return err.retryable or err.kind == "network"
    or err.kind == "http" and (status >= 500 or status == 429 or status == 408)
end

local PERMANENT = { closed = true, unsupported = true, memory = true }

--- Whether an err is one after which asking again is pointless: its cure is the user's alone. A
--- server that has taken the same secret, or shown a good certificate, before is waited for.
---@param err table
---@return boolean
function M.permanent(err)
  local of_user = err.kind == "auth" or err.kind == "tls" and err.retryable == false
  return PERMANENT[err.kind] or of_user and not err.answered_before or false
end

-- What is believed when it was said so often, in so many seconds, and nothing else meanwhile: of
-- a task that nobody has seen yet, and of one that was there, or of a secret that was good.
local SAID_TIMES, SAID_NEW, SAID_KNOWN = 5, 10, 60

--- Whether one answer may say an err by mistake: that a task is unknown, that a secret is good
--- no more.
---@param err table
---@return boolean
function M.is_doubtful(err)
  return err.vanished or err.kind == "auth" and err.standing or false
end

--- Seconds between two looks that make soon sure of a doubtful err.
---@param known any whether the task was there before
---@return number
function M.doubt_delay(known)
  return ((known and SAID_KNOWN or SAID_NEW) + 1) / (SAID_TIMES - 1)
end

--- Counts how often a doubtful err was said in a row.
---@param said table|nil what this gave for the err before, nil after anything else
---@param err table
---@param known any whether the task was there before; else it is soon given up
---@return table|nil said for the next time; nil: the err is not doubtful
---@return table|nil told the err to end with, once it was said often enough
function M.count_doubt(said, err, known)
  if not M.is_doubtful(err) then return nil end
  said = said or { since = core.now(), times = 0 }
  said.times = said.times + 1
  local seconds = core.now() - said.since
  known = known or err.kind == "auth"
  if said.times < SAID_TIMES or seconds < (known and SAID_KNOWN or SAID_NEW) then return said end
  local told = failure.copy(err)
  told.message = ("%s; said %d times in %.0f s"):format(err.message, said.times, seconds)
  return said, told
end

--- Takes the price of one more attempt out of the budget.
---@param budget table
---@param err table
---@return integer|nil price nil: the budget is used up
function M.take(budget, err)
  local price = throttled(err) and THROTTLED_COST or COST
  if budget.left < price then return nil end
  budget.left = budget.left - price
  return price
end

--- A success gives back what its retries cost, one token where it had none.
---@param budget table
---@param price integer|nil
function M.refund(budget, price)
  budget.left = math.min(M.CAPACITY, budget.left + (price or 1))
end

return M
