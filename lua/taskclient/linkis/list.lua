-- A cursor over the job history, newest first. The server repeats its last
-- page for ever, and rows of one second stand in any order, so that pages can
-- repeat some and skip others (protocols 3.11.2): the cursor gives each task
-- once, and what the pages have skipped is fetched in one page at the end.

local failure = require "taskclient.error"
local history = require "taskclient.linkis.history"
local options = require "taskclient.options"
local request = require "taskclient.rpc.request"

local M = {}

local PAGE = 50
local WHOLE = 10000 -- rows asked for in one page at the most
local BARREN = 3    -- pages in a row without a new row, after which there is no other
local SEARCHED = 100000 -- rows of a search that finds no end

M.SCHEMA = {
  state = "string|table", native = "text", creator = "text", engine = "text", since = "number",
  before = "number", id = "integer", user = "text", admin = "boolean", instance = "text",
  engine_instance = "text", run_type = "text", page_size = "count",
}

local STATES = { "queued", "running", "succeeded", "failed", "cancelled" }
local KNOWN = {}
for _, state in ipairs(STATES) do KNOWN[state] = true end

---@class taskclient.History
local Cursor = {}
Cursor.__index = Cursor

-- Times are cut to the second, as the server cuts what it compares with.
local function milliseconds(seconds)
  return seconds and math.floor(seconds) * 1000
end

local function status_filter(opts)
  if opts.native then return opts.native end
  if not opts.state then return nil end
  local words = {}
  for _, state in ipairs(type(opts.state) == "table" and opts.state or { opts.state }) do
    for _, word in ipairs(history.natives(state)) do words[#words + 1] = word end
  end
  return table.concat(words, ",")
end

-- The server leaves filters aside that it does not know or does not grant: runType before 1.9,
-- the user without the administrators' view.
local function keeps(self, record)
  local user, run_type = history.text(record.umUser), history.text(record.runType)
  if self.user and user and user:lower() ~= self.user:lower() then return false end
  return not (self.run_type and run_type) or run_type == self.run_type
end

-- Another user's records are in the administrators' view alone.
local function admin_view(opts)
  if opts.admin == nil and opts.user then return true end
  return opts.admin
end

--- Opens a cursor without checking the options.
---@param client userdata
---@param opts table as SCHEMA
---@param request_opts table|nil deadline
---@param oldest nil|fun(newest: number): number|nil for a search: from the time of the newest
---  record so far, the time before which no record is wanted (Unix seconds of the server's); nil:
---  not known. The cursor may end at a record that is older
---@return taskclient.History
function M.open(client, opts, request_opts, oldest)
  local args = {
    startDate = milliseconds(opts.since), endDate = milliseconds(opts.before),
    status = status_filter(opts), creator = opts.creator, taskID = opts.id,
    executeApplicationName = opts.engine, proxyUser = opts.user, isAdminView = admin_view(opts),
    instance = opts.instance, engineInstance = opts.engine_instance, runType = opts.run_type,
    pageNow = 0, pageSize = opts.page_size or PAGE,
  }
  return setmetatable({
    client = client, args = args, opts = request_opts, user = opts.user, run_type = opts.run_type,
    oldest = oldest,
    rows = {}, at = 0, seen = {}, known = 0, collected = 0, total = 0, barren = 0,
  }, Cursor)
end

-- A server built from the published page may have no list at all.
local function without_list(err)
  if err.http_status == 405 or history.is_absent(err) then
    err.kind = "unsupported"
    err.hint = "this server has no list of its tasks, or option 'url' is wrong"
  end
  return err
end

-- Whether a search need not read on: the list has proved to be newest first, and its last row
-- is older than what is looked for.
local function is_passed(self)
  local last
  for _, task in ipairs(self.rows) do
    last = history.made(task)
    self.first = self.first or last
    self.newest = math.max(self.newest or 0, last or 0)
  end
  local oldest = last and self.oldest(self.newest)
  return oldest ~= nil and last < oldest and last < self.first
end

-- Whether this page has a row that was not there before.
local function has_news(self)
  for _, task in ipairs(self.rows) do
    local id = type(task) == "table" and history.task_id(task.taskID)
    if id and not self.seen[id] then return true end
  end
  return false
end

-- Whether a search has come to the end. A server may count pages where others count rows, and
-- one that has no more repeats its last page.
local function is_last(self, total)
  local short = #self.rows < self.args.pageSize
  return not has_news(self) or short and (not total or self.collected >= total)
end

-- The same for a reader of all rows, where one page may repeat the one before by chance.
local function has_ended(self, total)
  self.barren = has_news(self) and 0 or self.barren + 1
  if self.barren >= BARREN then return true end
  if total then return self.collected >= total end
  return #self.rows < self.args.pageSize
end

-- Fetches the next page; false at the end.
local function fetch(self)
  self.args.pageNow = self.args.pageNow + 1
  local _, data, err = request.send(self.client, "list", self.args, self.opts)
  if not data then
    self.args.pageNow = self.args.pageNow - 1
    return nil, without_list(err)
  end
  if type(data.tasks) ~= "table" then
    return nil, failure.new("protocol", "the reply holds no tasks", { operation = "list" })
  end
  self.rows, self.at = data.tasks, 0
  self.collected = self.collected + #data.tasks
  local total = tonumber(data.totalPage)
  self.total = total or 0
  if self.oldest then
    self.passed = is_passed(self)
    self.endless = self.collected > SEARCHED
    self.last = self.passed or self.endless or is_last(self, total)
  else
    self.last = has_ended(self, total)
  end
  return #data.tasks > 0
end

-- Begins again with one page that holds everything, where rows were skipped: those that there
-- are, or of a search that has read enough those that it has read (what comes twice is in place
-- of another).
local function look_again(self)
  local rows = self.passed and self.collected or self.total
  if self.whole or self.endless or self.known >= rows or rows > WHOLE then return false end
  self.whole, self.last = true, false
  self.args.pageNow, self.collected = 0, 0
  self.args.pageSize = self.passed and rows + PAGE or math.max(rows, PAGE)
  return true
end

-- A search that could not see all rows has not found out that there is none.
local function incomplete(self)
  if self.endless then
    return failure.new("protocol", ("the list has no end: %d records were read"):format(self.known),
      { operation = "list", retryable = false })
  end
  local skipped = self.oldest and not self.whole and self.known < self.total and not self.passed
  return skipped and failure.new("protocol", ("the list skips some of its %d records; there are "
    .. "too many for one page"):format(self.total), { operation = "list", retryable = true }) or nil
end

-- The next row of this page that was not given yet.
local function next_row(self)
  while self.at < #self.rows do
    self.at = self.at + 1
    local task = self.rows[self.at]
    local id = type(task) == "table" and history.task_id(task.taskID)
    if id and not self.seen[id] then
      self.seen[id] = true
      self.known = self.known + 1
      if keeps(self, task) then return history.record(task, self.client) end
    end
  end
end

--- The next record; nil at the end; `nil, err`.
---@return table|nil record
---@return table|nil err
function Cursor:read()
  while true do
    local task = next_row(self)
    if task then return task end
    if self.last and not look_again(self) then return nil, incomplete(self) end
    local more, err = fetch(self)
    if more == nil then return nil, err end
    if not more then self.last = true end
  end
end

--- Ends it: nothing more is asked for.
function Cursor:close()
  self.rows, self.at = {}, 0
  self.last, self.whole = true, true
end

Cursor.__close = Cursor.close

function Cursor:__call()
  local task, err = self:read()
  if err then error(err, 0) end
  return task
end

function Cursor:__tostring()
  return ("job history of %s (%d records read)"):format(tostring(self.client), self.known)
end

--- The records of the server's job history; `client:list{…}`.
---@param client userdata
---@param opts table|nil state (ours or a list), native, creator, engine, since and before
---  (Unix seconds), id, run_type, instance, page_size; for administrators user and admin
---@return taskclient.History cursor for a generic `for`, or by `cursor:read()`
function M.list(client, opts)
  opts = options.check("list", opts, M.SCHEMA)
  for _, state in ipairs(type(opts.state) == "table" and opts.state or { opts.state }) do
    if not KNOWN[state] then
      options.raise("list", "option 'state': " .. options.unknown("state", state, STATES))
    end
  end
  return M.open(client, opts)
end

return M
