// How a browser or a service in TypeScript uses the types. What is wrong is marked: the compiler must agree with every mark.
import type { EventType, PropertiesOf, SentEvent, TelemetryEvent } from "../../../schemas/generated/events";

const source = { service: "web", environment: "production" };
const around = { schema_version: 1, occurred_at: "2026-11-23T10:00:00.123Z", source } as const;

// Without an id the gateway gives it one; with flags and without what is optional.
export const vital: SentEvent = {
  ...around,
  event_type: "web_vital",
  flags: { "new-planner": "B" },
  properties: { name: "LCP", value: 2100.5, rating: "good", page: "/" },
};

// On Kafka an event has its id.
// @ts-expect-error
export const withoutId: TelemetryEvent = { ...around, event_type: "menu_ready", properties: { menu_id: "m-1" } };

export const menu: TelemetryEvent = {
  ...around,
  event_id: "01980f3c-7d2a-7c3e-8f00-0123456789ab",
  event_type: "menu_generated",
  user_id: null,
  properties: { recipe_count: 5, restrictions: ["vegan"], generation_time_ms: 1240.5, outcome: "full" },
};

// @ts-expect-error
export const noType: EventType = "menu_generatde";
// @ts-expect-error
export const noOutcome: PropertiesOf<"menu_generated">["outcome"] = "success";
// @ts-expect-error
export const noUnit: PropertiesOf<"api_request"> = { method: "GET", route: "/", status_code: 200, duration: 12 };
// @ts-expect-error
export const missing: PropertiesOf<"payment"> = {};
// @ts-expect-error
export const text: PropertiesOf<"resource_usage">["cpu_ratio"] = "80 %";
// @ts-expect-error
export const version: SentEvent["schema_version"] = 2;

// The type of an event says which properties it has.
export function milliseconds(event: TelemetryEvent): number | null | undefined {
  switch (event.event_type) {
    case "menu_generated":
      return event.properties.generation_time_ms;
    case "provider_attempt":
      return event.properties.latency_ms;
    case "payment":
      // @ts-expect-error
      return event.properties.duration_ms;
    default:
      return null;
  }
}
