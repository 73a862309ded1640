-- The bare core for specs about the wire: a client without the Lua layer, and
-- calls driven to their end with a bound. No retries, no logins in between.

local core = require "taskclient.core"
local wait = require "spec.support.wait"

local M = { core = core }

M.TOKEN = "canary-7f3a9c51-token"
M.PASSWORD = "canary-b8d2e604-password"

---A Linkis client of the core with a canary token.
---@param url string
---@param options table? further options of core.client
function M.linkis(url, options)
  local all = {
    url = url, connect_timeout = 5,
    headers = { { "Token-Code", core.secret(M.TOKEN) }, { "Token-User", "hadoop" } },
  }
  for name, value in pairs(options or {}) do all[name] = value end
  return assert(core.client("linkis", all, {}))
end

---A Lindorm client of the core.
function M.lindorm(url, options)
  local all = { url = url, connect_timeout = 5 }
  for name, value in pairs(options or {}) do all[name] = value end
  return assert(core.client("lindorm", all, {}))
end

---Drives the core until all calls have ended.
function M.finish(calls, limit)
  local deadline = wait.now() + (limit or 30)
  for _, call in ipairs(calls) do
    while not call:done() do
      assert(wait.now() < deadline, "a call did not end within its limit")
      core.step(0.2)
    end
  end
end

---Starts a call, awaits it: its result, and the call itself as the last value.
function M.call(client, operation, args, opts)
  local call = client:start(operation, args, opts)
  M.finish({ call }, opts and opts.limit)
  local value, err = call:result()
  return value, err, call
end

local BODY = '{"executionContent":{"code":"select 1","runType":"sql"},"params":{},"labels":{}}'

---A submit as the Lua layer would send it.
function M.submit(client, opts)
  return M.call(client, "submit", { body = BODY }, opts)
end

function M.start_submit(client, opts)
  return client:start("submit", { body = BODY }, opts)
end

---A read without arguments that matter.
function M.read(client, opts)
  return M.call(client, "get", { id = "7" }, opts)
end

M.ACCEPTED = { execID = "exec_id018017test1127.0.0.1:9104IDE_hadoop_sql_1", taskID = 42 }

---Every text found in a value, deeply: to search for what must not be there.
function M.texts(value, seen)
  seen = seen or {}
  if type(value) == "string" then return value end
  if type(value) ~= "table" or seen[value] then return tostring(value) end
  seen[value] = true
  local out = { tostring(value) }
  for key, item in pairs(value) do
    out[#out + 1] = M.texts(key, seen)
    out[#out + 1] = M.texts(item, seen)
  end
  return table.concat(out, "\n")
end

return M
