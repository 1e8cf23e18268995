export * from 'web-vitals';
