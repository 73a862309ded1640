-- The end of a log cursor: the job's log file, whole, once job history says that
-- the job has ended; by pages of /log where the server will not give the file
-- (protocols 3.4, 3.12.5). Knows the cursor's fields; decides no line.

local core = require "taskclient.core"
local failure = require "taskclient.error"
local log_page = require "taskclient.linkis.logs.page"
local request = require "taskclient.rpc.request"

local M = {}

local TRIES = 6          -- for a file that comes late
local FIRST_PAUSE = 0.2  -- seconds, doubled from try to try
local CALM = 2           -- tries in a row that find nothing new
local PROBE = 100        -- lines of the log's head, where its task id stands
local TAIL = 65536       -- bytes looked through for a line
local NEWLINE = 10
local CLOSING = "Your job completed with" -- in a real server's last lines
local TOO_LONG = 80033   -- the server refuses files over 30 MB
local FILE_MOST = 256 * 1024 * 1024 -- bytes; 30 MB, twice over and escaped

--- The file's text as far as it is written.
---@param cursor table
---@return string|nil text
---@return table|nil err
function M.fetch(cursor)
  local _, data, err = request.send(cursor.client, "openLog", { path = cursor.path },
    { max_body = FILE_MOST, deadline = cursor.deadline })
  local text = data and log_page.text(data)
  if text then return text end
  err = err or failure.new("protocol", "the reply holds no log", { operation = "openLog" })
  err.job_id = cursor.job.id
  return nil, err
end

-- Another try after a pause; false when enough were made.
local function later(cursor)
  cursor.tries = (cursor.tries or 0) + 1
  if cursor.tries >= TRIES then return false end
  cursor.due = core.now() + FIRST_PAUSE * 2 ^ (cursor.tries - 1)
  return true
end

local function line_count(text)
  local _, n = text:gsub("\n", "")
  return n
end

-- The last line, or so much of its end as the text has.
local function last_line(text)
  local stop = text:byte(-1) == NEWLINE and -2 or -1
  return text:sub(1, stop):match "^.*\n(.*)" or text:sub(1, stop)
end

-- What a page that begins a line before the file's end says of the file. Once all is
-- written, the entrance too reads the file: then the file's last line is in it. Before, it
-- reads its memory, whose numbers are behind by one for each time it was emptied: there are
-- other lines, or none at all.
local function page_shows_more(page, text)
  local tail, found = text:sub(-TAIL), false
  local last = last_line(tail)
  for _, line in ipairs(page.lines) do
    found = found or line:sub(-#last) == last
    local known = line == "null" or line:find "^%s*$" or tail:find(line, 1, true)
    if not known and not text:find(line, 1, true) then return true end -- the tail is mostly it
  end
  return page.raw and not found
end

local BRIEFLY = 10 -- seconds: the entrance of a job that somebody else saw ending may be stuck

-- Whether the entrance still knows lines behind the end of this text, as long as the
-- job's execID is its own.
local function goes_on(cursor, text)
  if not cursor.exec or cursor.by_file then return false end
  local limits = not cursor.was_running
    and { retry = false, timeout = BRIEFLY, deadline = cursor.deadline } or nil
  local page = cursor:page(math.max(0, line_count(text) - 1), PROBE, limits)
  if not page or not page_shows_more(page, text) then return false end
  if cursor.was_running then return true end
  local head = cursor:page(0, PROBE, limits)
  return head ~= nil and not cursor:foreign(head)
end

local function is_of_real_server(text)
  return text:sub(1, TAIL):find("INFO Job with jobId", 1, true) ~= nil
end

-- Whether this may not be the whole file yet: history shows a job's end before the file has
-- its last lines, as seen on a real 1.8.0. The entrance may tell; it skips some lines.
local function may_grow(cursor, text)
  local lately = cursor.was_running or cursor.ended_lately -- nil: who knows
  if not text:find "%S" then return lately ~= false end -- a real one is never empty
  if not lately then return false end
  if goes_on(cursor, text) then return true end
  if text:sub(-TAIL):find(CLOSING, 1, true) then return false end
  cursor.calm = cursor.size == #text and cursor.calm + 1 or 0
  cursor.size = #text
  return cursor.calm < CALM and is_of_real_server(text)
end

local function mismatch(cursor, why)
  return failure.new("protocol", why == "short"
    and "the log file is shorter than what was read of it"
    or "the log file is not the log that was followed; job:logs() reads it from its beginning",
    { operation = "openLog", job_id = cursor.job.id, path = cursor.path })
end

local function take_file(cursor, text)
  local follower = cursor.follower
  if (cursor.tries or 0) < TRIES - 1 and may_grow(cursor, text) and later(cursor) then
    return "wait"
  end
  local taken, why = follower:file(text, true)
  if not taken and later(cursor) then return "wait" end
  if not taken and why == "behind" then taken = follower:file(text, true, true) end
  if not taken then return nil, mismatch(cursor, why) end
  cursor.done = true
  return "more"
end

-- By pages of /log ----------------------------------------------------------------

-- Lines that came live are not known to be the file's first ones.
local function missing(cursor, why, cause)
  local settled = cursor.follower.settled
  local what = cursor.given > settled
    and ("lines may be missing beside the %d that came"):format(cursor.given)
    or ("lines from %d on are missing"):format(settled + 1)
  return failure.new(cause and cause.kind or "service", what .. ": " .. why,
    { operation = "logs", job_id = cursor.job.id, code = cause and cause.code, cause = cause,
      path = cursor.path, retryable = cause and cause.retryable, lines_missing = true })
end

local function start_pages(cursor)
  if not cursor.exec then return nil, missing(cursor, cursor.why_pages, cursor.cause) end
  local zero, err = cursor:page(0, PROBE)
  local one
  if zero then
    if not zero.raw then cursor:learn_way(zero) end
    one, err = cursor:page(1, PROBE)
  end
  if not one then
    if err.kind ~= "service" then return nil, err end
    return nil, missing(cursor, cursor.why_pages .. ", and its entrance has forgotten the job",
      cursor.cause or err)
  end
  if cursor:foreign(zero) then
    return nil, missing(cursor, cursor.why_pages .. ", and its entrance knows another job by now",
      cursor.cause)
  end
  cursor.follower:resume_at(zero, one)
  cursor.pages = true
  return true
end

local function page_round(cursor)
  local follower = cursor.follower
  if not cursor.pages then
    local ok, err = start_pages(cursor)
    if not ok then return nil, err end
  end
  local page, err = cursor:page(follower.settled + follower.base, follower.size)
  if not page then
    if err.kind == "too_large" and follower:shrink() then return "more" end
    if err.kind == "service" then err = missing(cursor, cursor.why_pages, err) end
    return nil, err
  end
  if #page.lines == 0 then cursor.done = true end
  follower:settle(page.lines, page.advance)
  return "more"
end

-- A page for an address that something before the server does not know for a while.
local function is_foreign_404(err)
  return err.http_status == 404 and err.shape ~= "boot" and err.shape ~= "gateway"
    and err.shape ~= "linkis"
end

local function by_pages(cursor, why, cause)
  cursor.why_pages, cursor.cause = why, cause
  local word, err = page_round(cursor)
  if word or not cause or cursor.pages then return word, err end
  local foreign = is_foreign_404(cause)
  if cause.retryable or foreign then cursor.why_pages = nil end -- the file may be had after all
  if foreign and later(cursor) then return "wait" end
  return nil, err
end

-- What an openLog that failed means.
local function no_file(cursor, err)
  if tonumber(err.code) == TOO_LONG then
    return by_pages(cursor, "the file is over 30 MB, which the server does not give", err)
  end
  if err.kind == "too_large" then
    return by_pages(cursor, "the file is larger than the client takes", err)
  end
  local absent = err.http_status == 404 or err.http_status == 405
  local sick = err.kind == "http" and (err.http_status or 0) >= 500
  if not absent and not sick and err.kind ~= "service" then return nil, err end
  if not absent and later(cursor) then return "wait" end
  return by_pages(cursor, "the server does not give the file", err)
end

--- One step of reading an ended job's log. Gives "more", "wait", or `nil, err`.
---@param cursor table
---@return string|nil word
---@return table|nil err
function M.step(cursor)
  if cursor.due and core.now() < cursor.due then return "wait" end
  cursor.due = nil
  if cursor.why_pages then return page_round(cursor) end
  if not cursor.path then
    if cursor.exec then return by_pages(cursor, "job history names no log file") end
    cursor.done = true -- refused before it had a log
    return "more"
  end
  local text, err = M.fetch(cursor)
  if text then return take_file(cursor, text) end
  return no_file(cursor, err)
end

return M
