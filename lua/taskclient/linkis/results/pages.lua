-- The pages of a result file, one after the other, the next one on its way while
-- one is used. A page is whole or asked for again; paging fields are never
-- believed: a short page ends the file (protocols 3.12.2). Knows calls; knows
-- neither rows nor files.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local host = require "taskclient.host"
local request = require "taskclient.rpc.request"

local M = {}

M.SIZE = 5000           -- rows asked for at once
local LARGEST = 100000  -- the server's limit since 1.7
local FULL = 0.7        -- a page of that much of the last one's bytes may be full
local COLUMNS = 500     -- of a column page, the server's limit
local ALIKE = 50        -- full pages of one length in a row: does the server still know pages?
local REPEATS = 4       -- equal column pages behind a first one: it was the last
local COLUMNS_MOST = 100000 -- of a set; no server has as many
local WIDE_CELLS = 1000000 -- on one page of a set that needs column pages
local FAR = 2000000000  -- rows; no result has that many, and it fits the server's integer
local PATIENCE = 60     -- seconds of failing before a reader is told
local LIGHTER_MOST = 4  -- times that heavy pages are made smaller: down to one row, from M.SIZE
local TOO_MANY = 80034  -- a server with a lower limit than LARGEST
local NO_SUCH_COLUMNS = 52004

-- openFile's word for the type -> ours; scripts have words of their own
local TYPES = { ["1"] = "text", ["2"] = "table", ["3"] = "io", ["4"] = "picture", ["5"] = "html" }

--- Our word for a type of result set. A word of more than digits, as "script/text", is that of
--- another file, and its lines are a text.
---@param word any
---@return string|nil kind nil for a number that no known server uses
function M.type_of(word)
  word = tostring(word)
  return TYPES[word] or not word:find "^%-?[%d.]+$" and "text" or nil
end

local PICKS = { "type", "totalLine", "totalColumn", "display_prohibited",
  "column_limit_display", "en_msg", "zh_msg", "metadata" }
local picker

local function picked(call, ok, ...)
  if not ok then return nil, (...) end
  local facts = { call = call }
  for i, name in ipairs(PICKS) do
    local value = select(i, ...)
    if value ~= core.null then facts[name] = value end
  end
  return facts
end

---@class taskclient.Pages
local Pages = {}
Pages.__index = Pages

---@param rs table result set: client, path, job
---@param opts table|nil page_size, timeout, once (nothing is asked for ahead)
---@return taskclient.Pages
function M.open(rs, opts)
  opts = opts or {}
  picker = picker or core.picker(PICKS)
  return setmetatable({
    rs = rs, client = rs.client, size = math.min(opts.page_size or M.SIZE, LARGEST),
    offset = 0, timeout = opts.timeout, once = opts.once,
    deadline = opts.timeout and core.now() + opts.timeout,
  }, Pages)
end

local function args_of(self, offset, column_page)
  return {
    path = self.rs.path, page = math.floor(offset / self.size) + 1, pageSize = self.size,
    nullValue = "LINKIS_NULL", enableLimit = column_page and true or nil,
    columnPage = column_page, columnPageSize = column_page and COLUMNS or nil,
  }
end

local function drop_ahead(self)
  if self.ahead then self.ahead:close() end
  self.ahead = nil
end

local function ask_ahead(self)
  if self.ahead then return end
  self.ahead = self.client:start("openFile", args_of(self, self.offset + self.size),
    { pick = picker })
end

-- The next smaller size by that factor that still divides the offset; false when there is none.
local function shrink(self, factor)
  if self.size == 1 then return false end
  drop_ahead(self)
  local before, size = self.size, math.max(1, math.floor(self.size / factor))
  while before % size ~= 0 do size = size - 1 end
  self.size = size
  return true
end

-- After how many failures of a page its weight may be the cause: a server out of memory, a proxy
-- out of patience, a reply that was cut, time that ran out. nil: it is not.
local HEAVY_STATUS = { [500] = 2, [502] = 2, [504] = 1 }
local HEAVY_KIND = { timeout = true, network = true, protocol = true }

local function heavy_after(err)
  if tostring(err.message):find("OutOfMemory", 1, true) then return 1 end
  local status = err.http_status
  if not status then return err.kind == "timeout" and 1 or nil end
  return HEAVY_STATUS[status] or status == 200 and err.retryable and HEAVY_KIND[err.kind] and 1
    or nil
end

-- Words of the server's for files that hold no result (protocols 3.12.2).
local BROKEN = {
  { "File header type must be dolphin",
    "the result file is empty: the engine wrote nothing, or was stopped before it could" },
  { "NullPointerException", "the result file is cut before its columns" },
}

local function explained(self, err)
  err.job_id, err.path = self.rs.job.id, self.rs.path
  if heavy_after(err) then
    local tried = self.heavy and self.heavy ~= self.size and (", and one of " .. self.heavy) or ""
    err.hint = ("a page of %d rows%s may be too heavy for the server or a proxy before it: give a "
      .. "smaller page_size, or use rs:export"):format(self.size, tried)
  end
  for _, known in ipairs(BROKEN) do
    if tostring(err.message):find(known[1], 1, true) then err.hint = known[2] end
  end
  return err
end

-- Waits before another try; false when the patience is used up.
local function bear(self, err)
  if not err.retryable then return false end
  local now = core.now()
  self.failing = self.failing or now
  local pause = math.min(0.5 + (now - self.failing) / 2, 5)
  if now + pause > (self.deadline or self.failing + PATIENCE) then return false end
  host.current(self.client).sleep(pause)
  return true
end

-- Asks for fewer rows where a page has failed as a heavy one does; each try costs the server
-- dear. Where small pages fail alike it is not their weight, and they are of their size again.
local function lighten(self, err, failed)
  local after = heavy_after(err)
  local late = self.deadline and core.now() >= self.deadline
  if not after or failed < after or late or (self.lighter or 0) > LIGHTER_MOST then return false end
  self.heavy = self.heavy or self.size
  self.lighter = self.size > 1 and (self.lighter or 0) + 1 or LIGHTER_MOST + 1
  if self.lighter <= LIGHTER_MOST then return shrink(self, 10) end
  if self.offset % self.heavy == 0 then self.size = self.heavy end
  return false
end

local function ask(self, offset, column_page)
  local failed = 0
  while true do
    local facts, err = picked(request.send(self.client, "openFile",
      args_of(self, offset, column_page), { pick = picker, deadline = self.deadline }))
    if facts then
      self.failing = nil
      return facts
    end
    failed = failed + 1
    local too_large = err.kind == "too_large" or tonumber(err.code) == TOO_MANY
    local again = not column_page and (too_large and shrink(self, 2) or lighten(self, err, failed))
    if again then failed = 0 else again = bear(self, err) end
    if not again then return nil, explained(self, err) end
  end
end

-- A page much shorter than the one before is the last one. Its length is known
-- before it is read: the next one can be on its way while this one is.
local function looks_full(self, call)
  local bytes = call:bytes() or 0
  local before = self.bytes or math.huge
  self.bytes = bytes
  return bytes >= FULL * before
end

-- The page that was asked for ahead, if it came well. It has the time that a request of now would
-- have, however long it has been on its way already: whoever reads may have been busy.
local function awaited(self)
  local call = self.ahead
  self.ahead = nil
  if not call then return nil end
  local limit = core.now() + (core.fields(self.client).timeout or math.huge)
  local come = host.await(host.current(self.client), call,
    math.min(limit, self.deadline or math.huge))
  if not come then return call:close() end
  if looks_full(self, call) then ask_ahead(self) end
  return (picked(call, call:result()))
end

local function prohibited(self, facts)
  self.rs:learn(facts)
  return explained(self, failure.new("service",
    tostring(facts.en_msg or facts.zh_msg or "the server does not show these rows"),
    { operation = "openFile", retryable = false,
      hint = "a cell is too long to be shown; rs:export writes the file on the server" }))
end

local function too_wide(self)
  return explained(self, failure.new("protocol", ("the set has more than %d columns, or pages of "
    .. "columns without end"):format(COLUMNS_MOST), { operation = "openFile", retryable = false }))
end

-- The columns of all parts as those of the first; an err where they are not as many as there are.
local function join_metadata(self, first, parts, total)
  local all = {}
  for _, part in ipairs(parts) do
    for _, column in ipairs(type(part.metadata) == "table" and part.metadata or {}) do
      all[#all + 1] = column
    end
    first.calls[#first.calls + 1] = part.call
  end
  first.metadata = all
  if not total or #all == total then return first end
  return nil, explained(self, failure.new("protocol",
    ("the pages of columns have %d columns in place of %d"):format(#all, total),
    { operation = "openFile", retryable = false }))
end

-- One page of rows put together from pages of columns. A server that does not say how many
-- columns there are may repeat its last page of them.
local function ask_wide(self)
  local parts, first, total, repeats = {}, nil, self.columns, 0
  for column_page = 1, math.huge do
    if (total or #parts * COLUMNS) > COLUMNS_MOST then return nil, too_wide(self) end
    local part, err = ask(self, self.offset, column_page)
    if not part then
      local past = first and (err.http_status == 206 or tonumber(err.code) == NO_SUCH_COLUMNS)
      if not past then return nil, err end
      break
    end
    if part.display_prohibited then return nil, prohibited(self, part) end
    repeats = first and parts[#parts].call:body() == part.call:body() and repeats + 1 or 0
    parts[#parts + 1], first = part, first or part
    total = total or tonumber(part.totalColumn)
    if total and #parts * COLUMNS >= total then break end
    if not total and repeats == REPEATS then
      for _ = 1, REPEATS do table.remove(parts).call:close() end
      break
    end
  end
  first.calls = {}
  return join_metadata(self, first, parts, total)
end

-- Very wide rows are fewer on a page, or a page of them would be gigabytes.
local function become_wide(self, facts)
  self.wide, self.columns = true, tonumber(facts.totalColumn)
  local most = math.floor(WIDE_CELLS / math.max(self.columns or COLUMNS, 1))
  if self.offset == 0 then self.size = math.max(1, math.min(self.size, most)) end
  facts.call:close()
  return ask_wide(self)
end

local function obtain(self)
  if self.wide then return ask_wide(self) end
  local facts, err = awaited(self)
  if not facts then facts, err = ask(self, self.offset) end
  if not facts then return nil, err end
  if facts.display_prohibited then return nil, prohibited(self, facts) end
  if facts.column_limit_display then return become_wide(self, facts) end
  return facts
end

local function join_columns(calls, opts)
  local whole
  for _, call in ipairs(calls) do
    local page, err = call:page { typed = opts and opts.typed }
    if not page then return nil, err end
    if not whole then
      whole = page
    elseif page.n ~= whole.n then
      return nil, failure.new("protocol", "the pages of columns differ in their number of rows",
        { operation = "openFile" })
    else
      for _, column in ipairs(page.columns) do whole.columns[#whole.columns + 1] = column end
      for i, row in ipairs(page.rows) do
        local to = whole.rows[i]
        for _, cell in ipairs(row) do to[#to + 1] = cell end
      end
    end
  end
  return whole
end

-- The columns' names, the second "a" as "a_2", as the core has them in records.
local function keys_of(columns)
  local keys, taken = {}, {}
  for i, column in ipairs(columns) do
    local key, n = column.name, 1
    while taken[key] do
      n = n + 1
      key = column.name .. "_" .. n
    end
    keys[i], taken[key] = key, true
  end
  return keys
end

--- The page as a Lua table, as `call:page`.
---@param facts table what `next` hands out
---@param opts table|nil typed, records
---@return table|nil page
---@return table|nil err
function M.table_of(facts, opts)
  if not facts.calls then return facts.call:page(opts) end
  local page, err = join_columns(facts.calls, opts)
  if not page or not (opts and opts.records) then return page, err end
  local keys = keys_of(page.columns)
  for i, row in ipairs(page.rows) do
    local record = {}
    for k, cell in ipairs(row) do record[keys[k] or "column_" .. k] = cell end
    page.rows[i] = record
  end
  return page
end

--- Writes the page's rows: how many, or `nil, err`.
---@param facts table
---@param writer userdata core.writer
---@return integer|nil n
---@return table|nil err
function M.write(facts, writer)
  if not facts.calls then return writer:page(facts.call) end
  local page, err = join_columns(facts.calls)
  if not page then return nil, err end
  if not facts.later then writer:columns(page.columns) end
  for _, row in ipairs(page.rows) do
    local ok, why = writer:row(row)
    if not ok then return nil, why end
  end
  return #page.rows
end

-- The replies are large and the collector does not see them.
local function free(facts)
  for _, call in ipairs(facts.calls or { facts.call }) do call:close() end
end

-- Servers without pages -------------------------------------------------------------

-- Whether the server gives the same rows for another place and size.
local function same_for(self, facts, offset, size)
  local args = args_of(self, offset)
  args.pageSize = size
  local other, err = picked(request.send(self.client, "openFile", args,
    { pick = picker, deadline = self.deadline }))
  if not other then
    if err.retryable then return nil, explained(self, err) end
    return false
  end
  local same = facts.call:same(other.call)
  other.call:close()
  return same
end

local function no_pages(self)
  return explained(self, failure.new("protocol",
    ("the server gives its first page for every page: rows from %d on cannot be had")
      :format(self.offset + 1), { operation = "openFile", retryable = false,
      hint = "a larger page_size may get all rows in one page" }))
end

-- A server that knows no pages gives the first one for ever, another its last one;
-- but two pages may also be the same because their rows are: one far behind any
-- end tells. True: the rows given already are all.
local function all_given(self, facts)
  local same, err = self.before.call:same(facts.call), nil
  if same then
    same, err = same_for(self, facts, math.floor(FAR / self.size) * self.size, self.size)
    core.fields(self.client).pages = same == false
  end
  if same and self.offset == self.size then
    same, err = same_for(self, facts, 0, self.size + 1)
    if same == false then return nil, no_pages(self) end
  end
  if same == nil then return nil, err end
  free(self.before)
  self.before = nil
  return same
end

-- Whether the next page is to be compared with this one: always until the server has shown that
-- it knows pages, and now and then where one looks like the other for long.
local function is_doubtful(self, facts, n)
  if n ~= self.size or facts.calls then return false end
  local bytes = facts.call:bytes()
  self.alike = bytes == self.length and self.alike + 1 or 0
  self.length = bytes
  return not core.fields(self.client).pages or self.alike > 0 and self.alike % ALIKE == 0
end

local function without_end(self)
  return explained(self, failure.new("protocol",
    ("the server gives one page for every page, from row %d on"):format(self.offset
      - self.alike * self.size), { operation = "openFile", retryable = false }))
end

-- The columns by name and type, in one text; "" where the set has none.
local function columns_text(facts)
  local list = {}
  for i, column in ipairs(type(facts.metadata) == "table" and facts.metadata or {}) do
    list[i] = type(column) == "table" and tostring(column.columnName) .. "\1"
      .. tostring(column.dataType) or "?"
  end
  return table.concat(list, "\0")
end

-- What is wrong with a page beside those before it, or nil.
local function strange(self, facts)
  local kind = facts.type ~= nil and M.type_of(facts.type)
  if kind == nil then
    return ("the result set is of the type '%s', which is not known"):format(tostring(facts.type))
  end
  local columns = columns_text(facts)
  self.kind, self.names = self.kind or kind, self.names or columns
  local same = columns == self.names and (not kind or kind == self.kind)
  if same or tonumber(facts.totalLine) == 0 then return nil end
  return ("the page with row %d has %s than the first one"):format(self.offset + 1,
    columns == self.names and "another type" or "other columns")
end

local function hand_out(self, use)
  local facts, err = obtain(self)
  if not facts then return nil, err end
  local complaint = strange(self, facts)
  if complaint then
    free(facts)
    return nil, explained(self, failure.new("protocol", complaint,
      { operation = "openFile", retryable = false }))
  end
  if self.before then
    local all, why = all_given(self, facts)
    if all then self:close() end
    if all and self.alike >= ALIKE then why = without_end(self) end
    if all ~= false then return nil, why end
  end
  facts.later = self.offset > 0
  local listed = tonumber(facts.totalLine)
  local last = self.once or facts.calls or listed and listed < self.size
  if not last then ask_ahead(self) end
  local result, n = use(facts)
  if result ~= nil and is_doubtful(self, facts, n) then self.before = facts else free(facts) end
  if result == nil then return nil, n and explained(self, n) end
  self.offset = self.offset + n
  if n ~= self.size then self:close() end
  return result
end

--- Hands the next page to `use(facts)`, which gives a result and the number of
--- its rows, or nil, err. nil at the end; `nil, err`.
---@param use fun(facts: table): any, any
---@return any result
---@return table|nil err
function Pages:next(use)
  if self.over then return nil end
  if self.expired then self.deadline, self.expired = core.now() + self.timeout, nil end
  local result, err = hand_out(self, use)
  if err then drop_ahead(self) end -- the page behind the one that failed
  self.expired = err and self.deadline and core.now() >= self.deadline
  return result, err
end

--- Ends it: nothing is on its way any more.
function Pages:close()
  self.over = true
  if self.before then free(self.before) end
  self.before = nil
  drop_ahead(self)
end

return M
