-- Execution ids, today's form and the one of 0.x (protocols 5). Pure text.

local M = {}

local APPLICATION = "linkis-cg-entrance"

---@param instance string host:port of the entrance, "" when it has none
---@param short string short id, or the text "null" before a task is scheduled
---@return string
function M.make(instance, short)
  return ("exec_id%03d%03d%s%s%s"):format(#APPLICATION, #instance, APPLICATION, instance, short)
end

---The 0.x form: lengths of creator, engine and instance, then these and the short id.
function M.make_legacy(instance, creator, engine, short)
  return ("%02d%02d%02d%s%s%s%s"):format(#creator, #engine, #instance, creator, engine, instance,
    short)
end

---Cuts an execID by the lengths it declares, as the gateway does: on raw text.
---@param text string
---@return table? parts application, instance (the first of several), instances, short
function M.parse(text)
  local alen, ilen, rest = text:match("^exec_id(%d%d%d)(%d%d%d)(.*)$")
  if not alen then return nil end
  alen, ilen = tonumber(alen), tonumber(ilen)
  if #rest < alen + ilen then return nil end
  local instances = rest:sub(alen + 1, alen + ilen)
  return {
    application = rest:sub(1, alen), instances = instances,
    instance = instances:match("^[^_]*"), short = rest:sub(alen + ilen + 1),
  }
end

---The same for the 0.x form.
function M.parse_legacy(text)
  local clen, elen, ilen, rest = text:match("^(%d%d)(%d%d)(%d%d)(.*)$")
  if not clen then return nil end
  local skip = tonumber(clen) + tonumber(elen)
  local instance = rest:sub(skip + 1, skip + tonumber(ilen))
  if #instance < tonumber(ilen) then return nil end
  return { instance = instance, instances = instance, short = rest:sub(skip + tonumber(ilen) + 1) }
end

---Splits a short id into its queue and index.
---@param short string
---@return string? queue creator_user_engine
---@return integer? index
function M.split(short)
  local queue, index = short:match("^(.+)_(%d+)$")
  return queue, tonumber(index)
end

return M
