-- Who we are to a Linkis server: password login, token, token login, proxy
-- user; one login at a time, renewed when the session ends, never in a storm
-- (linkis-wire 2). A session belongs to one client.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local flights = require "taskclient.flight"
local host = require "taskclient.host"
local json = require "taskclient.json"
local retry = require "taskclient.retry"

local M = {}

local STORM, STORM_WINDOW = 3, 600 -- unexpected new logins, seconds
local FLIGHT = 300 -- seconds after which a login in flight counts as lost

local function send(client, operation, args, opts)
  return require("taskclient.request").send(client, operation, args, opts)
end

-- A secret given as text or as a function that returns it.
local function reveal(secret, what)
  if type(secret) ~= "function" then return core.reveal(secret) end
  local text, why = secret()
  if type(text) == "string" and text ~= "" then return text end
  return nil, failure.new("auth", what .. ": the function gave no text"
    .. (why ~= nil and ": " .. tostring(why) or ""), { cause = why, retryable = false })
end

--- Makes the session of a client from its checked options.
---@param given table user, password, token, token_login, proxy_user, proxy_code
---@return table|nil session nil: requests go out as they are
function M.new(given)
  local secret = given.token or given.password
  if not secret then return nil end
  return {
    mode = given.token and (given.token_login and "token login" or "token") or "password",
    user = given.user,
    secret = type(secret) == "function" and secret or core.secret(secret),
    proxy_user = given.proxy_user,
    proxy_code = given.proxy_code and core.secret(given.proxy_code),
    generation = 0,
    unexpected = {},
  }
end

-- The token headers, by their exact names: the gateway knows no other case.
local function token_headers(client, session)
  local token, err = reveal(session.secret, "token")
  if not token then return nil, err end
  client:hide(token)
  if token:find "%c" then
    return nil, failure.new("auth", "token: the function gave a control character "
      .. "(a newline at its end?)", { retryable = false })
  end
  local list = {}
  for i, header in ipairs(core.fields(client).headers) do list[i] = header end
  list[#list + 1] = { "Token-Code", core.secret(token) }
  list[#list + 1] = { "Token-User", session.user }
  return list
end

local function use_token(client, session)
  local list, err = token_headers(client, session)
  if not list then return nil, err end
  client:set_headers(list)
  return {}
end

local function encrypted(client, password)
  local _, data, err = send(client, "publicKey", nil, { bare = true })
  if not data then
    local mute = err.kind == "network" or err.kind == "timeout" or err.kind == "tls"
    if mute then return nil, err end
    return password
  end
  if data.enableLoginEncrypt ~= true then return password, nil, true end
  local text, why = require("taskclient.rsa").encrypt(data.publicKey, password)
  if text then return text end
  return nil, failure.new("protocol", "the server's public key: " .. why,
    { operation = "publicKey" })
end

local function login_body(client, session)
  local password, err = reveal(session.secret, "password")
  if not password then return nil, err end
  client:hide(password)
  local sent, plain = password, session.plain
  if not plain then
    sent, err, plain = encrypted(client, password)
    if not sent then return nil, err end
    session.plain = plain
  end
  return json.encode { userName = session.user, password = sent }
end

-- Servers up to 1.0.0 answer a second login with an error that is none.
local function already(err)
  return type(err.message) == "string"
    and err.message:lower():find("already logged in", 1, true) ~= nil
end

local function use_password(client, session)
  local body, err = login_body(client, session)
  if not body then return nil, err end
  client:forget_session()
  local _, data
  _, data, err = send(client, "login", { body = body }, { bare = true, harmless = true })
  if data then return data end
  if already(err) then return {} end
  session.plain = nil
  return nil, err
end

local function use_token_login(client, session)
  local list, err = token_headers(client, session)
  if not list then return nil, err end
  client:forget_session()
  client:set_headers(list)
  local call
  call, err = client:start("token-login", { body = "{}" })
  client:set_headers(core.fields(client).headers)
  if not call then return nil, err end
  host.current(client).await(call)
  return call:result()
end

local LOGINS = {
  password = use_password, token = use_token, ["token login"] = use_token_login,
}

local function become_proxy(client, session)
  if not session.proxy_user then return true end
  local _, data, err = send(client, "proxy", {
    proxyUser = session.proxy_user,
    validationCode = session.proxy_code and core.reveal(session.proxy_code),
  }, { bare = true, harmless = true })
  return data ~= nil, err
end

local function refused(err)
  if err.kind == "service" then err.kind = "auth" end
  err.retryable = err.kind ~= "auth" and (retry.passes(err) or err.kind == "timeout")
  return err
end

-- A server that knows no login, as one built from the published page, which
-- has none: requests go out as they are, and a 401 says so if they may not.
local function offers_none(err)
  return err.http_status == 404 or err.http_status == 405
end

-- The login itself, all of its requests.
local function login(client, session)
  local data, err = LOGINS[session.mode](client, session)
  if not data then
    if not offers_none(err) then return nil, refused(err) end
    data = {}
  end
  local ok
  ok, err = become_proxy(client, session)
  if not ok then return nil, refused(err) end
  local period = tonumber(data.sessionTimeOut)
  session.period = period and period > 0 and period / 1000 or nil
  session.name = type(data.userName) == "string" and data.userName or session.name
  session.touched = core.now()
  return true
end

local function land(client, session, flight)
  flight.ok, flight.err = login(client, session)
  if session.flight == flight then session.flight = nil end
  session.live = flight.ok
  if flight.ok then session.generation = session.generation + 1 end
  -- a token is believed only once it was taken
  if flight.ok and session.mode ~= "token" then core.fields(client).answered = true end
  if core.fields(client).log then
    client:trace(flight.ok and "info" or "warn", { what = "login", err = flight.err })
  end
end

local single_login

-- Waits for a login that another coroutine has begun, and makes it anew where that one broke off.
local function join(client, session, flight)
  while session.flight == flight and not flights.lost(flight, FLIGHT) do
    host.current(client).sleep(0.01)
  end
  if not flight.ok and not flight.err then return single_login(client, session) end
  return flight.ok, flight.err
end

single_login = function(client, session)
  local flight = session.flight
  if flight and not flights.lost(flight, FLIGHT) then return join(client, session, flight) end
  flight = flights.new(client)
  session.flight = flight
  flights.run(flight, land, client, session, flight)
  return flight.ok, flight.err
end

-- The server moves a session's clock only once half of its period has passed;
-- this is the same clock, kept here. True when the session must have ended.
local function ended(session)
  if not session.period then return false end
  local age = core.now() - session.touched
  if age > session.period * 0.95 then return true end
  if age > session.period / 2 then session.touched = core.now() end
  return false
end

--- Has the client logged in before a request, where it needs to be.
---@param client userdata
---@return boolean|nil ok
---@return table|nil err
function M.ready(client)
  local session = core.fields(client).session
  if not session then return true end
  if session.live and not session.flight and not ended(session) then return true end
  return single_login(client, session)
end

local function too_many(session)
  local now, recent = core.now(), {}
  for _, time in ipairs(session.unexpected) do
    if now - time < STORM_WINDOW then recent[#recent + 1] = time end
  end
  session.unexpected = recent
  if #recent >= STORM then return true end
  recent[#recent + 1] = now
  return false
end

--- After a refusal (401): one new login, unless somebody has already made it.
---@param client userdata
---@param generation integer|nil the login the refused request went out with
---@return boolean again whether to send the request again
---@return table|nil err why the login failed
function M.renew(client, generation)
  local session = core.fields(client).session
  if not session then return false end
  if session.mode == "token" and type(session.secret) ~= "function" then return false end
  if session.generation ~= generation then return true end
  if not session.flight and too_many(session) then
    return false, failure.new("auth", "the server refuses each new login after a short "
      .. "time; its session settings are wrong, or there are several gateways", {})
  end
  session.live = false
  return single_login(client, session)
end

--- Leaves: the session is given back to the server. Done by nobody else.
---@param client userdata
---@return boolean|nil ok
---@return table|nil err
function M.logout(client)
  local session = core.fields(client).session
  if not session or not session.live or session.mode == "token" then return true end
  session.live = false
  local _, data, err = send(client, "logout", { body = "{}" }, { bare = true, harmless = true })
  client:forget_session()
  return data and true, err
end

return M
