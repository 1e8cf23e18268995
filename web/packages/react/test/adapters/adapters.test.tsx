import { ApolloClient, ApolloLink, gql, InMemoryCache } from '@apollo/client';
import { ApolloClient as ApolloClient3, ApolloLink as ApolloLink3, InMemoryCache as InMemoryCache3 } from 'apollo-client-3';
import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
import { QueryClient as QueryClient4, QueryObserver as QueryObserver4 } from 'query-core-4';
import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import useSWR, { SWRConfig } from 'swr';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type MemoryMonitor, type Warning } from '@memwarden/client';
import { watchApolloCache } from '../../src/adapters/apollo';
import { watchSwrCache } from '../../src/adapters/swr';
import { watchQueryCache } from '../../src/adapters/tanstack';

let root: Root;
let monitor: MemoryMonitor;
let warnings: Warning[];

// A clock of the test: what reads a cache takes no time by it, so that the cache is read at each look.
beforeEach(() => {
  vi.useFakeTimers();
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  root = createRoot(document.createElement('div'));
  warnings = [];
  monitor = createMemoryMonitor({ intervalMs: 100, onWarning: (warning) => warnings.push(warning) });
});

afterEach(async () => {
  await act(async () => root.unmount());
  vi.useRealTimers();
});

const show = (node: ReactNode) => act(async () => root.render(node));
const figures = () => monitor.takeSnapshot('').stats.caches;

describe('watchQueryCache', () => {
  function Query({ name, gcTime }: { name: string; gcTime?: number }) {
    const { data } = useQuery({ queryKey: [name], queryFn: () => 'x'.repeat(1000), ...(gcTime !== undefined && { gcTime }) });
    return <p>{data}</p>;
  }

  test('counts the queries of components, those that are left, and those that stay for ever', async () => {
    const client = new QueryClient();
    const remove = watchQueryCache(monitor, client);
    expect(figures()).toEqual({ tanstack: { entries: 0, inactive: 0, bytes: 0, neverCollected: 0 } });

    const page = (...queries: ReactNode[]) => show(<QueryClientProvider client={client}>{queries}</QueryClientProvider>);
    await page(<Query key="a" name="a" />, <Query key="b" name="b" gcTime={Infinity} />);
    await act(() => vi.advanceTimersByTimeAsync(10));
    const all = figures().tanstack!;
    expect(all).toMatchObject({ entries: 2, inactive: 0, neverCollected: 1 });
    expect(all.bytes).toBeGreaterThan(2000);
    expect(all.bytes).toBeLessThan(5000);

    await page();
    expect(figures().tanstack).toMatchObject({ entries: 2, inactive: 2, neverCollected: 1 });
    // Five minutes are the default of the library.
    await act(() => vi.advanceTimersByTimeAsync(300_001));
    expect(figures().tanstack).toMatchObject({ entries: 1, inactive: 1, neverCollected: 1 });

    remove();
    expect(figures()).toEqual({});
    client.clear();
  });

  test('warns of a cache that grows', async () => {
    const client = new QueryClient();
    watchQueryCache(monitor, client, 'queries');
    const stop = monitor.start();
    for (let i = 0; i < 14; i++) {
      for (let j = 0; j < 30; j++) client.setQueryData(['search', i, j], j);
      await vi.advanceTimersByTimeAsync(100);
    }
    stop();
    expect(warnings).toMatchObject([{ kind: 'growing_cache', subject: 'queries', threshold: 100 }]);
    client.clear();
  });

  test('knows version 4', () => {
    const client = new QueryClient4();
    watchQueryCache(monitor, client);
    client.setQueryData(['a'], 1);
    const end = new QueryObserver4(client, { queryKey: ['b'], queryFn: () => 1, cacheTime: Infinity }).subscribe(() => undefined);
    expect(figures().tanstack).toMatchObject({ entries: 2, inactive: 1, neverCollected: 1 });
    end();
    client.clear();
  });
});

describe('watchSwrCache', () => {
  function Reader({ name }: { name: string }) {
    const { data } = useSWR<string>(name, () => 'x'.repeat(1000));
    return <p>{data}</p>;
  }

  test.each([
    ['a provider', new Map()],
    ['the default', SWRConfig.defaultValue.cache],
  ])('counts the entries of %s, and those that no component uses', async (kind, cache) => {
    watchSwrCache(monitor, cache);
    const config = kind === 'a provider' ? { provider: () => cache } : {};
    const page = (...readers: ReactNode[]) => show(<SWRConfig value={config}>{readers}</SWRConfig>);
    await page(<Reader key="a" name="a" />, <Reader key="b" name="b" />);
    await act(() => vi.advanceTimersByTimeAsync(10));
    const all = figures().swr!;
    expect(all).toMatchObject({ entries: 2, inactive: 0, neverCollected: 2 });
    expect(all.bytes).toBeGreaterThan(2000);
    expect(all.bytes).toBeLessThan(5000);
    await page(<Reader key="b" name="b" />);
    expect(figures().swr).toMatchObject({ entries: 2, inactive: 1, neverCollected: 2 });
  });

  test('a cache that SWR does not use yet has no users, known or not', () => {
    watchSwrCache(monitor, new Map([['a', { data: 1 }]]));
    const all = figures().swr!;
    expect(all).toMatchObject({ entries: 1, neverCollected: 1 });
    expect(all).not.toHaveProperty('inactive');
  });
});

describe('watchApolloCache', () => {
  const query = gql`
    query {
      carts {
        id
        items {
          id
          text
        }
      }
    }
  `;
  const cart = (id: number) => ({ __typename: 'Cart', id, items: [0, 1, 2].map((i) => ({ __typename: 'Item', id: `${id}-${i}`, text: 'x'.repeat(1000) })) });

  const cache4 = new InMemoryCache();
  const cache3 = new InMemoryCache3();
  const client4 = new ApolloClient({ cache: cache4, link: ApolloLink.empty() });
  const client3 = new ApolloClient3({ cache: cache3, link: ApolloLink3.empty() });

  test.each([
    ['4', cache4, (carts: object[]) => client4.writeQuery({ query, data: { carts } }), () => watchApolloCache(monitor, client4)],
    ['3', cache3, (carts: object[]) => client3.writeQuery({ query, data: { carts } }), () => watchApolloCache(monitor, client3)],
  ])('counts entries of version %s, and those that gc() would take', (_, cache, write, watch) => {
    watch();
    watchApolloCache(monitor, cache, 'the cache itself');
    expect(figures().apollo).toEqual({ entries: 0, inactive: 0, bytes: 0, neverCollected: 0 });
    write([1, 2].map(cart));
    const all = figures().apollo!;
    // The root, two carts and three items of each.
    expect(all).toMatchObject({ entries: 9, inactive: 0, neverCollected: 9 });
    expect(all.bytes).toBeGreaterThan(6000);
    expect(all.bytes).toBeLessThan(12_000);

    write([cart(2)]);
    expect(figures().apollo).toMatchObject({ entries: 9, inactive: 4 });
    cache.retain('Item:1-0');
    expect(figures().apollo).toMatchObject({ entries: 9, inactive: 3 });
    expect(figures()['the cache itself']).toEqual(figures().apollo);
    expect(cache.gc()).toHaveLength(3);
    expect(figures().apollo).toMatchObject({ entries: 6, inactive: 0 });
  });

  test('a root that refers to all entries is not taken for one of them', () => {
    const cache = new InMemoryCache();
    watchApolloCache(monitor, cache);
    const carts = Array.from({ length: 2_000 }, (_, i) => [`Cart:${i}`, { __typename: 'Cart', id: i, text: 'x'.repeat(500) }] as const);
    cache.restore({ ROOT_QUERY: { __typename: 'Query', ...Object.fromEntries(carts.map(([id]) => [`cart({"id":"${id}"})`, { __ref: id }])) }, ...Object.fromEntries(carts) });
    const { entries, bytes } = figures().apollo!;
    expect(entries).toBe(2_001);
    expect(bytes).toBeGreaterThan(1_000_000);
    expect(bytes).toBeLessThan(2_000_000);
  });

  test('a cache too large to follow its references says nothing of them', () => {
    const cache = new InMemoryCache();
    watchApolloCache(monitor, cache);
    cache.restore({ ROOT_QUERY: { __typename: 'Query', points: Array.from({ length: 30_000 }, (_, i) => ({ x: i })) } });
    expect(figures().apollo).not.toHaveProperty('inactive');
    expect(figures().apollo!.entries).toBe(1);
  });
});

test('a cache that takes long to read is read the more rarely', () => {
  let reads = 0;
  watchSwrCache(monitor, {
    keys: () => {
      reads++;
      vi.advanceTimersByTime(3);
      return ['a'];
    },
    get: () => 1,
  });
  figures();
  figures();
  vi.advanceTimersByTime(2_900);
  figures();
  expect(reads).toBe(1);
  vi.advanceTimersByTime(200);
  figures();
  expect(reads).toBe(2);
});
