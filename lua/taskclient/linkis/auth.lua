-- Who we are to a Linkis server: password login, token, token login, proxy
-- user; one login at a time, renewed when the session ends, never in a storm
-- (protocols 2). A session belongs to one client.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local single_flight = require "taskclient.rpc.single_flight"
local host = require "taskclient.host"
local relay = require "taskclient.host.relay"
local pcalls = require "taskclient.host.pcall"
local request = require "taskclient.rpc.request"
local retry = require "taskclient.rpc.retry"

local M = {}

local STORM, STORM_WINDOW = 3, 600 -- unexpected new logins, seconds
local FIRST_PAUSE, PAUSE_GROWS, LONGEST_PAUSE = 1, 3, 600 -- seconds after a refused login

--- How rpc/request logs in: `ready`, `renew` and `standing`; `generation`, the number of the login
--- that counts now; `calm_until`, the moment (monotonic) before which `ready` need not be asked.
---@class taskclient.LinkisSession
local Session = {}
Session.__index = Session

-- What the user's function gives; that it fails is no reason for anything else to fail.
local function ask(secret)
  local heard = core.sigint()
  local ok, text, why = pcalls.try(secret)
  if ok then return text, why end
  if pcalls.interrupted(text, heard) then error(text, 0) end
  return nil, text
end

-- A secret given as text or as a function that returns it.
local function reveal(secret, what)
  if type(secret) ~= "function" then return core.reveal(secret) end
  local text, why = relay.outside(ask, secret)
  if type(text) == "string" and text ~= "" then return text end
  return nil, failure.new("auth", what .. ": the function gave no text"
    .. (why ~= nil and ": " .. tostring(why):match "^[^\n]*" or ""),
    { cause = why, retryable = false })
end

--- Makes the session of a client from its checked options.
---@param given table user, password, token, token_login, proxy_user, proxy_code
---@return table|nil session nil: requests go out as they are
function M.new(given)
  local secret = given.token or given.password
  if not secret then return nil end
  return setmetatable({
    mode = given.token and (given.token_login and "token login" or "token") or "password",
    user = given.user,
    secret = type(secret) == "function" and secret or core.secret(secret),
    proxy_user = given.proxy_user,
    proxy_code = given.proxy_code and core.secret(given.proxy_code),
    generation = 0,
    unexpected = {},
    calm_until = -math.huge,
  }, Session)
end

-- The token headers, by their exact names: the gateway knows no other case.
local function token_headers(client, session)
  local token, err = reveal(session.secret, "token")
  if not token then return nil, err end
  client:hide(token, session.user)
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

local NO_RSA = "the server wants the password encrypted by RSA, and luaossl cannot be loaded"
local GET_RSA = "apt-get install lua-luaossl, or luarocks install luaossl; or log in by a token"

-- The password for the owner of the server's key (PKCS#1 v1.5), in base64.
local function rsa(key, password)
  local found, pkey = pcall(require, "openssl.pkey") -- luaossl's
  if not found then
    return nil, failure.new("unsupported", NO_RSA, { operation = "publicKey", hint = GET_RSA })
  end
  local text = type(key) == "string" and key:gsub("%s", "") or ""
  local fine, made = pcall(pkey.new, "-----BEGIN PUBLIC KEY-----\n"
    .. text:gsub(("."):rep(64), "%0\n") .. "\n-----END PUBLIC KEY-----\n", "PEM")
  local bytes
  if fine then fine, bytes = pcall(made.encrypt, made, password) end
  if fine then return core.base64(bytes) end
  return nil, failure.new("protocol", "the server's public key: it is no RSA key, or too short for "
    .. "the password", { operation = "publicKey" })
end

local function encrypted(client, password)
  local _, data, err = request.send(client, "publicKey", nil, { bare = true })
  if not data then
    local mute = err.kind == "network" or err.kind == "timeout" or err.kind == "tls"
    if mute then return nil, err end
    return password
  end
  if data.enableLoginEncrypt ~= true then return password, nil, true end
  return rsa(data.publicKey, password)
end

local function login_body(client, session)
  local password, err = reveal(session.secret, "password")
  if not password then return nil, err end
  client:hide(password, session.user)
  local sent, plain = password, session.plain
  if not plain then
    sent, err, plain = encrypted(client, password)
    if not sent then return nil, err end
    session.plain = plain
  end
  return assert(core.encode { userName = session.user, password = sent })
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
  _, data, err = request.send(client, "login", { body = body }, { bare = true, harmless = true })
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
  local _, data, err = request.send(client, "proxy", {
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

-- A client whose secret was good before may be refused because the server's user directory is
-- away: it asks again, but ever more rarely, for servers lock accounts.
local function note_refusal(session, err)
  local times = (session.refused and session.refused.times or 0) + 1
  session.refused = { times = times, err = err,
    till = core.now() + math.min(FIRST_PAUSE * PAUSE_GROWS ^ (times - 1), LONGEST_PAUSE) }
end

-- The refusal that stands for now, or nil.
local function standing_refusal(session)
  local left = session.refused and session.refused.till - core.now() or 0
  if left <= 0 then return nil end
  local err = failure.copy(session.refused.err)
  err.retry_after = left
  err.message = ("%s (the next login is tried in %.0f s)"):format(tostring(err.message), left)
  return err
end

-- The server moves a session's clock only once half of its period has passed;
-- this is the same clock, kept here. True when the session must have ended.
local function ended(session)
  local period, now = session.period, core.now()
  if period and now - session.touched > period * 0.95 then return true end
  if period and now - session.touched > period / 2 then session.touched = now end
  session.calm_until = period and session.touched + period / 2 or math.huge
  return false
end

-- The work of a flight: no caller's err, but the one that each is given a copy of.
local function land(client, session)
  local ok, err = login(client, session)
  local fields = core.fields(client)
  session.live = ok
  if ok then
    session.generation = session.generation + 1
    session.refused = nil
    -- a token is believed only once it was taken
    if session.mode ~= "token" then fields.answered = true end
  elseif err.kind == "auth" and fields.answered then
    note_refusal(session, err)
  end
  session.flight = nil
  if ok then ended(session) end -- it has just begun
  client:trace(ok and "info" or "warn", { what = "login", err = err })
  return ok, err
end

local function late()
  return failure.new("timeout", "the login has not ended in time",
    { operation = "login", retryable = true })
end

-- One login for all who need it now; it is made anew where it broke off.
local function single_login(client, session, deadline)
  while true do
    local flight = session.flight
    if not single_flight.busy(flight) then
      local refusal = standing_refusal(session)
      if refusal then return nil, refusal end
      flight = single_flight.new(client, land, client, session)
      session.flight, session.calm_until = flight, -math.huge
    end
    local over = single_flight.join(flight, deadline)
    if over == nil then return nil, single_flight.own_callback "login" end
    local ok, err
    if flight.results then ok, err = flight.results[1], flight.results[2] end
    if ok then return true end
    if err then return nil, failure.copy(err) end
    if deadline and core.now() >= deadline then return nil, late() end
  end
end

--- Has the client logged in before a request.
---@param client userdata
---@param deadline number|nil monotonic
---@return boolean|nil ok
---@return table|nil err the caller's own
function Session:ready(client, deadline)
  if self.live and not single_flight.busy(self.flight) and not ended(self) then return true end
  return single_login(client, self, deadline)
end

--- Whether the secret is all there is: no login could be made anew.
---@return boolean
function Session:standing()
  return self.mode == "token" and type(self.secret) ~= "function"
end

-- Seconds until one more new login that was not expected may be made; nil: now.
local function too_many(session)
  local now, recent = core.now(), {}
  for _, time in ipairs(session.unexpected) do
    if now - time < STORM_WINDOW then recent[#recent + 1] = time end
  end
  session.unexpected = recent
  if #recent >= STORM then return recent[1] + STORM_WINDOW - now end
  recent[#recent + 1] = now
  return nil
end

--- After a refusal (401): one new login, unless somebody has already made it.
---@param client userdata
---@param generation integer|nil the login the refused request went out with
---@param deadline number|nil monotonic
---@return boolean again whether to send the request again
---@return table|nil err why the login failed
function Session:renew(client, generation, deadline)
  if self:standing() then return false end
  if self.generation ~= generation then return true end
  local left = not single_flight.busy(self.flight) and too_many(self)
  if left then
    return false, failure.new("auth", "the server refuses each new login after a short "
      .. "time; its session settings are wrong, or there are several gateways",
      { retry_after = left })
  end
  self.live, self.calm_until = false, -math.huge
  return single_login(client, self, deadline)
end

--- Leaves: the session is given back to the server. Done by nobody else.
---@param client userdata
---@return boolean|nil ok
---@return table|nil err
function M.logout(client)
  local session = core.fields(client).session
  if not session or not session.live or session.mode == "token" then return true end
  session.live, session.calm_until = false, -math.huge
  local _, data, err = request.send(client, "logout", { body = "{}" },
    { bare = true, harmless = true })
  client:forget_session()
  return data and true, err
end

return M
