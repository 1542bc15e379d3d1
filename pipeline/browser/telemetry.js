// Browser telemetry: web vitals, feature flags and an abandoned onboarding, to POST /v1/events of the gateway.
// Copy this file into the application and `npm install web-vitals`. Best effort: what a beacon carries is never sent twice.
//
//   const telemetry = startTelemetry({ gateway: 'https://telemetry.example', key: 'WRITE_KEY', service: 'web', version: '1.4.2' });
//   const done = telemetry.feature('new-planner', 'B');   // exposure now, performance when done() is called
//   telemetry.capture('recipe_save', { recipe_id: '17' });
import { onCLS, onFCP, onINP, onLCP, onTTFB } from 'web-vitals';

export function startTelemetry({ gateway, key, service, version, environment = 'production', userId, onboardingStep, onboardingSteps = 5 }) {
  const landedOn = location.pathname;
  const device = navigator.userAgentData?.mobile ?? /Mobi/.test(navigator.userAgent) ? 'mobile' : 'desktop';
  const session = readSession();
  const flags = {};
  let queue = [], timer, leftAt;

  function capture(event_type, properties) {
    queue.push({
      event_id: crypto.randomUUID?.(), event_type, schema_version: 1, occurred_at: new Date().toISOString(), properties,
      source: { service, version, environment }, user_id: userId, session_id: session.id, flags: { ...flags },
    });
    if (queue.length >= 20) flush();  // 64 KiB is what all beacons on their way may have together
    else timer ??= setTimeout(flush, document.visibilityState === 'hidden' ? 0 : 5000);
  }

  function flush() {
    clearTimeout(timer);
    timer = undefined;
    if (!queue.length) return;
    const query = new URLSearchParams({ sent_at: Date.now(), ...(key && { key }), ...(navigator.webdriver && { webdriver: 1 }) });
    const url = `${gateway}/v1/events?${query}`, body = JSON.stringify(queue.splice(0));
    // Text needs no preflight, and nobody waits for the answer: so it works from every origin, and while the page goes away.
    if (!navigator.sendBeacon?.(url, body)) fetch(url, { method: 'POST', body, keepalive: true, mode: 'no-cors' }).catch(() => {});
  }

  function feature(flag, variant) {
    flags[flag] = variant;
    capture('feature_exposure', { flag, variant });
    const { startTime: start } = performance.mark(`feature_${flag}_start`);
    return () => capture('feature_performance', { flag, variant, duration_ms: performance.measure(`feature_${flag}`, { start }).duration });
  }

  for (const onVital of [onCLS, onFCP, onINP, onLCP, onTTFB]) {
    onVital(({ name, value, rating, id, delta, navigationType, navigationURL }) => capture('web_vital', {
      name, value, rating, metric_id: id, delta, navigation_type: navigationType, device,
      page: navigationURL ? new URL(navigationURL, location.href).pathname : landedOn,
    }));
  }

  function leave() {  // on the way out, once for each step: `beforeunload` would not come on phones
    const step = onboardingStep?.();
    if (step < onboardingSteps && step !== leftAt) capture('onboarding_abandoned', { step, time_spent_ms: Date.now() - session.startedAt });
    leftAt = step;
    flush();
  }
  addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && leave());
  addEventListener('pagehide', leave);
  return { capture, feature, flush, sessionId: session.id };
}

function readSession() {
  const fresh = { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, startedAt: Date.now() };
  try {
    const kept = JSON.parse(sessionStorage.getItem('telemetry_session'));
    if (!kept) sessionStorage.setItem('telemetry_session', JSON.stringify(fresh));
    return kept ?? fresh;
  } catch {
    return fresh;  // storage is forbidden: the session lasts as long as the page
  }
}
