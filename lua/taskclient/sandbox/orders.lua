-- What control.lua can be told. Each order is a function(store, data) that returns when it has
-- taken effect.

local uv = require "luv"
local store = require "taskclient.sandbox.store"

local M, orders = {}, {}

local PATIENCE = 10000 -- ms for an order to take effect

local function wait_for(what, condition)
  local deadline = uv.hrtime() / 1e6 + PATIENCE
  while not condition() do
    if uv.hrtime() / 1e6 > deadline then error("the sandbox does not answer: " .. what, 0) end
    uv.sleep(5)
  end
end

local function poke(state)
  local udp = uv.new_udp()
  udp:try_send("", "127.0.0.1", state:settings().engine_port)
  udp:close()
end

local function commanded(state, kind, args)
  state:command(kind, nil, args)
  local id = state:row("SELECT max(id) AS id FROM command").id
  poke(state)
  wait_for(kind, function()
    return state:row("SELECT done FROM command WHERE id = ?", id).done == 1
  end)
end

local function raise(state, name)
  state:set { [name] = (tonumber(state:settings()[name]) or 0) + 1 }
end

function orders.set(state, data)
  state:set(data)
  poke(state)
end

-- What a stop in good order leaves of a task that was queued: a row that nobody works at, without
-- instance and source.
local ORPHAN = [[UPDATE task SET entrance = '', source = 'null', mem_status = 'Cancelled',
  params = json_remove(params, '$.configuration.runtime.source')
  WHERE entrance = ? AND status = 'Inited' AND mem_status = 'Inited']]

function orders.restart_entrance(state, data)
  raise(state, "entrance_restart")
  for _, entrance in ipairs(state:settings().entrances) do
    if data and data.clean then state:run(ORPHAN, entrance) end
    commanded(state, "cancel_all", { entrance = entrance })
    wait_for("restart", function()
      return not state:row("SELECT 1 AS x FROM task WHERE entrance = ? AND mem_status NOT IN "
        .. "('Succeed','Failed','Cancelled') LIMIT 1", entrance)
    end)
  end
end

function orders.evict(state) raise(state, "idle_clear") end

function orders.expire_sessions(state) state:run "DELETE FROM session" end

function orders.query(state, data)
  local database = store.open(state:settings().dir .. "/" .. store.data_file)
  local rows = {}
  local cursor = database:run(data.sql)
  if type(cursor) == "number" then return rows end
  local width = #cursor:getcolnames()
  local row = cursor:fetch({}, "n")
  while row do
    for i = 1, width do if row[i] == nil then row[i] = false end end
    rows[#rows + 1] = row
    row = cursor:fetch({}, "n")
  end
  return rows
end

local function answers(port)
  local tcp, ok, finished = uv.new_tcp(), false, false
  tcp:connect("127.0.0.1", port, function(err)
    ok, finished = not err, true
    tcp:close()
  end)
  while not finished do uv.run("once") end
  uv.run("nowait")
  return ok
end

function orders.kill_server(_, data)
  uv.kill(data.pid, "sigusr1")
  wait_for("kill_server", function() return not answers(data.port) end)
end

function orders.resume_server(_, data)
  uv.kill(data.pid, "sigusr2")
  wait_for("resume_server", function() return answers(data.port) end)
end

---@param order table dir, action, data
---@return any value for the caller
function M.run(order)
  if not uv.fs_stat(order.dir .. "/" .. store.state_file) then error("the sandbox is gone", 0) end
  local state = store.open(order.dir .. "/" .. store.state_file)
  return orders[order.action](state, order.data)
end

return M
