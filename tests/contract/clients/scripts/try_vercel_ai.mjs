// The Vercel AI SDK: text, a loop around a tool, and objects, by its provider for servers like OpenAI's and by OpenAI's own.

import { createInterface } from "node:readline";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const MODEL = "builtin";
const KEY = "a-key-for-tests";
const HELLO = "Say hello.";
const QUESTION = "What is the weather in Paris?";
const COMPARE = "Compare the weather in Paris and in Oslo.";
const REPORT = "Write a report about Paris.";
const DEGREES = { Paris: 21, Oslo: 4 };
const PARALLEL = { call_paris: "Paris", call_oslo: "Oslo" };
const CITY = z.object({ city: z.enum(["Paris", "Oslo"]) });
const SCHEMA = CITY.extend({ sky: z.enum(["clear", "cloudy"]) });
const OPTIONS = { temperature: 0, maxRetries: 0, maxOutputTokens: 200 };

const weather = (city) => `${DEGREES[city]} degrees in ${city}`;
const PROVIDERS = {
  compatible: (url, name, apiKey) =>
    createOpenAICompatible({ name: "local", baseURL: `${url}/v1`, apiKey, supportsStructuredOutputs: true, includeUsage: true })(name),
  openai: (url, name, apiKey) => createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat(name),
  responses: (url, name, apiKey) => createOpenAI({ baseURL: `${url}/v1`, apiKey }).responses(name),
};

function agent(provider) {
  const model = (url, name = MODEL, key = KEY) => provider(url, name, key);
  const withTool = (calls) => ({
    get_weather: tool({
      description: "The weather of a city.",
      inputSchema: CITY,
      execute: async ({ city }) => {
        calls.push(city);
        return weather(city);
      },
    }),
  });
  const hello = async (from, prompt = HELLO) => (await generateText({ model: from, prompt, ...OPTIONS })).text;
  return {
    async tools(url) {
      const calls = [];
      const asked = { model: model(url), prompt: QUESTION, tools: withTool(calls), stopWhen: stepCountIs(5) };
      const { text, totalUsage } = await generateText({ ...asked, ...OPTIONS });
      return { calls, answer: text, tokens: [totalUsage.inputTokens, totalUsage.outputTokens] };
    },
    async parallel(url) {
      const calls = Object.entries(PARALLEL).map(([toolCallId, city]) => ({
        ...{ type: "tool-call", toolCallId, toolName: "get_weather", input: { city } },
      }));
      const results = Object.entries(PARALLEL).map(([toolCallId, city]) => ({
        ...{ type: "tool-result", toolCallId, toolName: "get_weather" },
        output: { type: "text", value: weather(city) },
      }));
      const messages = [
        { role: "user", content: COMPARE },
        { role: "assistant", content: calls },
        { role: "tool", content: results },
      ];
      return (await generateText({ model: model(url), messages, tools: withTool([]), ...OPTIONS })).text;
    },
    async structured(url) {
      const output = Output.object({ schema: SCHEMA });
      return (await generateText({ model: model(url), prompt: REPORT, output, ...OPTIONS })).output;
    },
    async stream(url) {
      const pieces = [];
      for await (const piece of streamText({ model: model(url), prompt: HELLO, ...OPTIONS }).textStream) {
        pieces.push(piece);
      }
      return pieces;
    },
    wrong_key: (url) => hello(model(url, MODEL, "another")),
    wrong_model: (url) => hello(model(url, "another")),
    too_long: (url) => hello(model(url), "hello ".repeat(5000)),
  };
}

globalThis.AI_SDK_LOG_WARNINGS = false;
const clients = {
  chat: agent(PROVIDERS.compatible),
  openai: agent(PROVIDERS.openai),
  responses: agent(PROVIDERS.responses),
};
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = { came: await clients[asked.client][asked.do](asked.url) };
  } catch (error) {
    answer = { raised: error.name, words: error.message };
  }
  console.log(JSON.stringify(answer));
}
