-- When to try again: attempts, full jitter, one budget per client so that an
-- outage does not multiply the load (reliability.md 5). Knows errors and the
-- clock; knows no operation.

local core = require "taskclient.core"

local M = {}

M.ATTEMPTS = 3

local BASE, THROTTLED_BASE, LONGEST = 0.05, 1, 20 -- seconds
local CAPACITY, COST, THROTTLED_COST = 500, 14, 5

--- A number from 0 to 1 from the system, for Lua 5.1 seeds its own badly.
---@return number
function M.random() return tonumber(core.random(4), 16) / 2 ^ 32 end

--- A budget of retries, one per client.
---@return table
function M.budget() return { left = CAPACITY } end

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
    or err.kind == "http" and (status >= 500 or status == 429)
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
  if budget.left < CAPACITY then
    budget.left = math.min(CAPACITY, budget.left + (price or 1))
  end
end

return M
